"""proxy-sync as a process. Its end leaves the proxy running: the users' connections go through it."""

import asyncio

from hubbub.bus import connect
from hubbub.config import Options
from hubbub.service import load_options, run, until
from hubbub.settings import Settings, give_up
from hubbub_proxy_sync import activity
from hubbub_proxy_sync.proxies import make
from hubbub_proxy_sync.proxies.base import Proxy
from hubbub_proxy_sync.sync import Sync


def main() -> None:
    settings = Settings.from_environ(needs=("nats_url",))
    options = load_options(settings)
    proxy = make(options, settings)
    extra_routes = _extra_routes(proxy, options)

    async def serve(stop: asyncio.Event) -> None:
        try:
            async with connect(settings.nats_url, settings.instance) as bus:
                name, concurrency = settings.instance, options.proxy.concurrency
                sync = Sync(bus, proxy, name, concurrency=concurrency, extra_routes=extra_routes)
                await sync.listen()
                await until(stop, proxy.start())
                if stop.is_set():
                    return
                await until(
                    stop,
                    sync.run(),
                    sync.follow_reconnects(),
                    proxy.watch(sync.refill),
                    activity.beat(bus, proxy, name, settings.lease_seconds),
                    activity.report(bus, sync),
                )
        finally:
            await proxy.close()

    run("proxy-sync", settings, serve, options.hub.log_level)


def _extra_routes(proxy: Proxy, options: Options) -> dict[str, str]:
    try:
        return {proxy.validate_routespec(spec): target for spec, target in options.proxy.extra_routes.items()}
    except ValueError as error:
        give_up(f"c.Proxy.extra_routes: {error}")


if __name__ == "__main__":
    main()
