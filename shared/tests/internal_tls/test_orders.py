"""Asking for certificates on the bus."""

import msgspec
import pytest

from hubbub.bus import connect
from hubbub.internal_tls import certificates, orders
from hubbub.internal_tls.orders import Order, Refused
from hubbub.rpc import Certified, Certify, Refusal, Signed
from hubbub.testing.tls import authorities, shaken

SUBJECT = "hub.rpc.certify.default.worker-1"


class Api:
    """Signs whatever is asked."""

    def __init__(self, folder):
        self.found = authorities(folder)
        self.asked = []

    async def certify(self, subject, payload):
        question = msgspec.json.decode(payload, type=Certify)
        self.asked += question.requests
        return Certified(signed=tuple(self._signed(each) for each in question.requests))

    def _signed(self, each):
        asked = certificates.read(each.request)
        return Signed(
            certificate=self.found.sign(each.part, asked, each.part, asked.alt_names), trust=self.found.trust(each.part)
        )


@pytest.fixture
async def api(nats, tmp_path):
    async with connect(nats.url("api"), "api-1") as bus:
        made = Api(tmp_path / "authorities")
        await bus.answer("hub.rpc.certify.*.*", made.certify)
        await bus.arrived()
        yield made


@pytest.fixture
async def bus(nats):
    async with connect(nats.url("pool-default"), "worker-1") as made:
        yield made


async def test_a_worker_gets_what_it_asks_servers_with(api, bus, tmp_path):
    worker = await orders.obtain(bus, SUBJECT, tmp_path / "mine", {"worker": ()})
    order = Order.of("server", "ada", ["127.0.0.1"], server="s", attempt=3)
    [signed] = await orders.send(bus, SUBJECT, [order])
    server = orders.Files.within(tmp_path / "s", "server")
    order.write(signed, server)
    assert shaken(server, worker["worker"])
    assert (api.asked[-1].part, api.asked[-1].server, api.asked[-1].attempt) == ("server", "s", 3)
    assert not any("PRIVATE" in each.request for each in api.asked)


async def test_the_next_time_the_paths_are_the_same(api, bus, tmp_path):
    wants = {"proxy-api": ["127.0.0.1"], "proxy-client": []}
    first = await orders.obtain(bus, SUBJECT, tmp_path / "mine", wants)
    text = first["proxy-api"].keyfile.read_text()
    assert await orders.obtain(bus, SUBJECT, tmp_path / "mine", wants) == first
    assert first["proxy-api"].keyfile.read_text() == text


async def test_with_other_authorities_or_names_they_are_others(api, bus, tmp_path):
    first = await orders.obtain(bus, SUBJECT, tmp_path / "mine", {"proxy-api": ["127.0.0.1"]})
    second = await orders.obtain(bus, SUBJECT, tmp_path / "mine", {"proxy-api": ["127.0.0.1", "DNS:proxy"]})
    api.found = authorities(tmp_path / "others")
    third = await orders.obtain(bus, SUBJECT, tmp_path / "mine", {"proxy-api": ["127.0.0.1", "DNS:proxy"]})
    assert len({str(each["proxy-api"].keyfile) for each in (first, second, third)}) == 3
    assert [path.parent for path in (tmp_path / "mine").rglob("*.key")] == [third["proxy-api"].keyfile.parent]


async def test_a_half_written_folder_is_not_used(api, bus, tmp_path):
    first = await orders.obtain(bus, SUBJECT, tmp_path / "mine", {"worker": ()})
    first["worker"].certfile.unlink()
    second = await orders.obtain(bus, SUBJECT, tmp_path / "mine", {"worker": ()})
    assert second["worker"].certfile.exists()


async def test_a_refusal_says_why(nats, bus, tmp_path):
    async with connect(nats.url("api"), "api-1") as other:

        async def certify(subject, payload):
            return Certified(refused=Refusal(kind="StaleAttempt", message="not held"))

        await other.answer("hub.rpc.certify.*.*", certify)
        await other.arrived()
        with pytest.raises(Refused, match="not held") as refused:
            await orders.obtain(bus, SUBJECT, tmp_path / "mine", {"worker": ()})
    assert refused.value.kind == "StaleAttempt"
    assert not (tmp_path / "mine").exists()
