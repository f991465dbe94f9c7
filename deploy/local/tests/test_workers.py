"""A worker of another host has an identity of its own, over TLS: it speaks by its name, for its pool, until revoked."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hubbub import bus as buses
from hubbub import credential
from hubbub.bus import Bus
from hubbub.credential import Credential
from hubbub.nkey import BadSeed, Identity, new_seed
from hubbub.service import end
from hubbub.settings import Settings
from hubbub.subjects import permissions
from hubbub_local import bus_tls, bus_users, keys, ports, record, workers
from hubbub_local.errors import StackError
from hubbub_local.folder import Folder
from hubbub_local.nats import Nats
from hubbub_local.ports import Wish
from hubbub_local.supervisor import Supervisor
from hubbub_local.testing import Changes

POOLS = ["default", "gpu"]


@dataclass
class Here:
    """A hub that is nothing but its NATS."""

    folder: Folder
    port: int
    pools: Sequence[str] = field(default_factory=lambda: POOLS)
    owner_dsn: str = ""
    has_nats: bool = True
    told: dict[str, str] = field(default_factory=lambda: {"HUBBUB_BIND_URL": "http://hub.example.org:8000/"})

    @property
    def nats(self) -> Sequence[str]:
        return [f"127.0.0.1:{self.port}"]

    def write(self) -> None:
        bus_users.write(self.folder, permissions(self.pools))

    def reload_nats(self) -> bool:
        found = record.read(self.folder.run / "nats.pid")
        assert found
        os.kill(found[0].pid, signal.SIGHUP)
        return True

    def restart(self, services: Sequence[str]) -> bool:
        return True


@pytest.fixture
async def here(data: Folder, changes: Changes) -> AsyncIterator[Here]:
    keys.load(data)
    port = ports.choose(data, {"nats": Wish(what="NATS")})["nats"]
    server = Nats(folder=data, port=port)
    async with Supervisor(data, changes.tell, asyncio.Event()) as house:
        await house.start(server.prepare(permissions(POOLS))).first_up()
        yield Here(data, port)


async def added(here: Here, pool: str = "gpu", name: str = "") -> Credential:
    made = workers.add(here, pool, name, here.nats)
    here.reload_nats()
    return made


def entering(made: Credential, **other: str) -> "buses.AbstractAsyncContextManager[Bus]":
    told = {"seed": made.seed, "ca": made.ca, **other}
    return buses.connect(",".join(made.nats), made.worker, **told)


async def stays_out(way: "buses.AbstractAsyncContextManager[Bus]") -> None:
    """It tries for ever; there is nothing to wait for but time."""
    task = asyncio.ensure_future(way.__aenter__())
    await asyncio.wait({task}, timeout=0.7)
    assert not task.done()
    await end(task)


async def refused(bus: Bus, *, publish: str = "", subscribe: str = "") -> bool:
    """Whether the server forbids it."""
    errors: list[str] = []

    async def note(error: Exception) -> None:
        errors.append(str(error))

    bus.client._error_cb = note
    if publish:
        await bus.client.publish(publish, b"{}")
    if subscribe:
        await bus.client.subscribe(subscribe)
    await bus.arrived()
    return any("permissions violation" in error.lower() for error in errors)


async def test_it_comes_in_by_tls_and_speaks_by_its_own_name_alone(here: Here) -> None:
    made = await added(here)
    assert (made.worker, made.pool, made.nats) == ("gpu-1", "gpu", (f"tls://127.0.0.1:{here.port}",))
    async with asyncio.timeout(20), entering(made) as bus:
        for subject in ("hub.rpc.claim.gpu.gpu-1", "hub.heartbeat.spawner-worker.gpu-1", "hub.progress.s.1"):
            assert not await refused(bus, publish=subject), subject
        for subject in (
            "hub.rpc.claim.gpu.gpu-2",
            "hub.rpc.claim.default.gpu-1",
            "hub.heartbeat.spawner-worker.gpu-2",
            "hub.event.user.1",
            "_INBOX_pool-gpu.x",
            "$JS.API.CONSUMER.MSG.NEXT.TICKETS.pool-default",
        ):
            assert await refused(bus, publish=subject), subject
        for subject in ("hub.holder.gpu-1", "hub.form.gpu"):
            assert not await refused(bus, subscribe=subject), subject
        for subject in ("hub.holder.gpu-2", "hub.holder.*", "hub.form.default", "hub.event.>", "_INBOX_worker.>"):
            assert await refused(bus, subscribe=subject), subject


async def test_answers_of_the_api_reach_it(here: Here) -> None:
    made = await added(here)
    api = Nats(folder=here.folder, port=here.port).url("api")
    async with asyncio.timeout(20), buses.connect(api, "api-1") as asked, entering(made) as bus:

        async def answer(subject: str, _: bytes) -> Credential:
            return made

        await asked.answer("hub.rpc.claim.*.*", answer)
        await asked.arrived()
        assert await bus.ask("hub.rpc.claim.gpu.gpu-1", made, Credential) == made


async def test_one_that_is_revoked_is_cut_off_and_cannot_come_back(here: Here) -> None:
    made, other = await added(here), await added(here)
    assert other.worker == "gpu-2"
    async with asyncio.timeout(20), entering(made) as bus:
        await bus.arrived()
        workers.revoke(here, "gpu-1")
        here.reload_nats()
        while bus.connected:
            await asyncio.sleep(0.01)
    await stays_out(entering(made))
    async with asyncio.timeout(20), entering(other) as bus:
        await bus.arrived()
    with pytest.raises(StackError, match="no worker 'gpu-1' with a credential; there are gpu-2"):
        workers.revoke(here, "gpu-1")


async def test_a_fresh_credential_ends_the_one_before(here: Here) -> None:
    made = await added(here, "default", "far")
    fresh = workers.renew(here, "far", here.nats)
    here.reload_nats()
    assert (fresh.worker, fresh.pool) == ("far", "default")
    async with asyncio.timeout(20), entering(fresh) as bus:
        await bus.arrived()
    await stays_out(entering(made))


async def test_a_server_of_another_authority_is_not_believed(here: Here, tmp_path: Path) -> None:
    made = await added(here)
    bus_tls.write(tmp_path, [])
    await stays_out(entering(made, ca=bus_tls.ca(tmp_path)))


async def test_without_tls_it_says_nothing_of_itself(here: Here) -> None:
    """To somebody who poses as the server, and speaks no TLS."""
    made = await added(here)
    heard = asyncio.Queue[bytes]()

    async def pose(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"server_id": "x", "version": "2.15.0", "max_payload": 1048576, "auth_required": true}\r\n')
        heard.put_nowait(await reader.read(4096))
        writer.close()

    server = await asyncio.start_server(pose, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    await stays_out(buses.connect(f"tls://127.0.0.1:{port}", "gpu-1", seed=made.seed, ca=made.ca))
    server.close()
    assert b"CONNECT" not in heard.get_nowait()


@pytest.mark.parametrize(
    ("pool", "name", "why"),
    [
        ("tpu", "", "there is no pool 'tpu'; there are default, gpu"),
        ("gpu", "A b", "is no name of a worker"),
        ("gpu", "spawner-worker-1", "may be a worker of the hub's own host"),
    ],
)
async def test_what_cannot_be_is_said(here: Here, pool: str, name: str, why: str) -> None:
    with pytest.raises(StackError, match=why):
        await added(here, pool, name)


async def test_a_name_is_one_workers(here: Here) -> None:
    await added(here, name="far")
    with pytest.raises(StackError, match="there is a worker 'far' already"):
        await added(here, name="far")


def test_the_file_says_all_that_a_worker_needs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = Credential(
        worker="far",
        pool="gpu",
        nats=("tls://a:1", "tls://b:1"),
        seed=new_seed(),
        ca="CA",
        bus_key="key",
        bind_url="http://h/",
    )
    file = tmp_path / "far.json"
    file.write_text(made.text())
    assert credential.read(file) == made
    settings = Settings.from_environ({"HUBBUB_CREDENTIAL": str(file)}, needs=("nats_url", "bus_key"))
    assert (settings.instance, settings.pool, settings.nats_url) == ("far", "gpu", "tls://a:1,tls://b:1")
    assert (settings.nats_seed, settings.nats_ca, settings.bind_url) == (made.seed, "CA", "http://h/")
    with pytest.raises(SystemExit) as left:
        Settings.from_environ({"HUBBUB_CREDENTIAL": str(file), "HUBBUB_INSTANCE": "near"})
    assert left.value.code == 78
    assert "is of far: leave HUBBUB_INSTANCE out" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "{}", json.dumps({"worker": "x"}), "HUBBUB_POOL=gpu"])
def test_another_file_is_no_credential(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "x"
    file.write_text(text)
    with pytest.raises(SystemExit):
        Settings.from_environ({"HUBBUB_CREDENTIAL": str(file)})
    assert "is not a credential as `hubbub worker add` prints it" in capsys.readouterr().err


def test_a_seed_is_nats_own_kind() -> None:
    """One whose public half a nats-server has taken."""
    identity = Identity("SUAOZISA22NUHYRN6PBPNKQBIZFFXG7QXOHONEVXEHJMEOOOGKCX264EHI")
    assert identity.public == "UANIOS7RTLPNQLWGFIFKHZZ3MRAKWMODBZ7FUWV3RD4FOHJ4XOQBJK7Z"
    for wrong in ("", "SU", identity.public, "SUAOZISA22NUHYRN6PBPNKQBIZFFXG7QXOHONEVXEHJMEOOOGKCX264FHI"):
        with pytest.raises(BadSeed):
            Identity(wrong)
