"""proxy-sync as a process. Its end leaves the proxy running: the users' connections go through it."""

import asyncio
from pathlib import Path

from hubbub.bus import Bus, connected
from hubbub.config import Options
from hubbub.service import load_options, run, until
from hubbub.settings import Settings, give_up
from hubbub.subjects import token
from hubbub_proxy_sync import activity, certificates
from hubbub_proxy_sync.comparing import Comparing
from hubbub_proxy_sync.moving import Moving
from hubbub_proxy_sync.proxies import make
from hubbub_proxy_sync.proxies.proxy import Proxy
from hubbub_proxy_sync.sync import Sync


def main() -> None:
    settings = Settings.from_environ(needs=("nats_url",))
    options = load_options(settings)
    proxy = make(options, settings)
    _check_extra_routes(proxy, options)

    async def begin(bus: Bus, moving: Moving) -> None:
        if options.hub.internal_ssl:
            proxy.secure(await certificates.obtain(bus, options, settings))
        await moving.before_start()
        await proxy.start()

    async def serve(stop: asyncio.Event) -> None:
        try:
            async with connected(settings) as bus:
                sync = Sync(bus, proxy, settings.instance)
                comparing = Comparing(bus, sync, settings.instance)
                moving = Moving(bus, proxy, sync, comparing, settings.instance, _mark(settings))
                await sync.listen()
                await comparing.listen()

                async def keep() -> None:
                    await begin(bus, moving)
                    await until(
                        stop,
                        sync.run(),
                        sync.follow_reconnects(),
                        proxy.watch(sync.refill),
                        activity.beat(bus, proxy, settings.instance, settings.lease_seconds),
                        activity.report(bus, sync, settings.instance),
                    )

                await until(stop, keep(), moving.run(), comparing.run())
        finally:
            await proxy.close()

    run("proxy-sync", settings, serve, options.hub.log_level)


def _mark(settings: Settings) -> Path:
    """The file that says that this proxy has been moved."""
    return settings.data_folder / "run" / f"moved-{token(settings.instance)}.json"


def _check_extra_routes(proxy: Proxy, options: Options) -> None:
    """The api asks for them with all others; one that cannot be is better refused at the start."""
    try:
        for spec in options.proxy.extra_routes:
            proxy.validate_routespec(spec)
    except ValueError as error:
        give_up(f"c.Proxy.extra_routes: {error}")


if __name__ == "__main__":
    main()
