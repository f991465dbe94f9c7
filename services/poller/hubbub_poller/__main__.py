"""The poller as a process."""

import asyncio

from hubbub.bus import connected
from hubbub.service import announce, run, until
from hubbub.settings import Settings
from hubbub_poller.activity import Collector
from hubbub_poller.poller import Poller


def main() -> None:
    settings = Settings.from_environ(needs=("nats_url",))

    async def serve(stop: asyncio.Event) -> None:
        async with connected(settings) as bus:
            poller = Poller(bus, settings.instance, settings.lease_seconds)
            collector = Collector(bus, poller)
            await poller.listen()
            await collector.listen()
            announce("poller")
            await until(stop, poller.run(), poller.tick(), poller.follow_reconnects(), poller.beat(), collector.run())

    run("poller", settings, serve, "INFO")


if __name__ == "__main__":
    main()
