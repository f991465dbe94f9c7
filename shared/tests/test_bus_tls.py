"""A password goes to nobody who speaks no TLS, if the URL says that there is to be TLS."""

import asyncio

from hubbub import bus as buses
from hubbub.service import end
from hubbub.testing.nats import NatsServer


async def test_a_tls_url_means_it(nats: NatsServer) -> None:
    async with buses.connect(nats.url("poller"), "p"):
        pass
    entered = asyncio.ensure_future(buses.connect(nats.url("poller").replace("nats://", "tls://"), "p").__aenter__())
    await asyncio.wait({entered}, timeout=0.5)
    assert not entered.done()
    await end(entered)
