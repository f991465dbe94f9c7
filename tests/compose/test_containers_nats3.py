"""Three NATS nodes instead of one, by `deploy/compose.nats3.yaml`: any one may be lost."""

import asyncio
from collections.abc import AsyncIterator

import nats
import pytest
import pytest_asyncio
from compose_hub import HERE, ComposeHub, shared_engine

from checks import all_ready, five_checks
from stack import eventually

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(1800)]

NODES = ("nats", "nats-2", "nats-3")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ComposeHub]:
    data = tmp_path_factory.mktemp("nats3")
    files = ("compose.yaml", "compose.nats3.yaml")
    hub = ComposeHub(shared_engine(), data, HERE / "config_faults.py", "spawner-worker=2", {}, *files)
    hub.kit = ("--nats", ",".join(f"{node}:4222" for node in NODES))
    try:
        await hub.start()
        yield hub
    finally:
        await hub.close()


async def test_every_stream_is_on_all_nodes(house: ComposeHub) -> None:
    login = (house.data / "secrets/nats-url-api").read_text().partition("@")[0]
    client = await nats.connect(f"{login}@{house.address('nats')}:4222", inbox_prefix=b"_INBOX_api")
    try:
        for stream in ("TICKETS", "EVENTS", "PROGRESS"):
            found = await client.jetstream().stream_info(stream)
            assert found.config.num_replicas == len(NODES), stream
    finally:
        await client.close()


@pytest.mark.parametrize("node", NODES)
async def test_a_node_is_killed(house: ComposeHub, node: str) -> None:
    name = f"person-of-{node}"
    await house.user(name)
    house.kill(node)
    status, body = await house.api("POST", f"/users/{name}/server")
    assert status in (201, 202), body
    await all_ready(house, [name], 60)
    await five_checks(house, verify=node == NODES[-1])

    async def back() -> bool:
        container = house.container(node)
        await asyncio.to_thread(container.reload)
        return bool(container.attrs["State"]["Health"]["Status"] == "healthy")

    await eventually(back, 60, f"{node} well again")
