"""Workers to try: on a real nats-server, each as its pool's user, with the api of hubbub_spawner_worker.testing."""

import asyncio
import contextlib
import dataclasses
import itertools
import json
import os
import select
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from traitlets.config import Config

from hubbub import bus
from hubbub.config import Options
from hubbub.rpc import Person, Spec
from hubbub.settings import Settings
from hubbub.testing.nats import NatsServer
from hubbub_spawner_worker.cgroups import Cgroup, Cgroups
from hubbub_spawner_worker.host import boot_id
from hubbub_spawner_worker.logs import Logs
from hubbub_spawner_worker.place import LocalPlace
from hubbub_spawner_worker.ports import Ports
from hubbub_spawner_worker.process import Sessions
from hubbub_spawner_worker.spawners import Group, Hub, User
from hubbub_spawner_worker.spawners.loading import its_config, load_class
from hubbub_spawner_worker.spool import Lock, Spool
from hubbub_spawner_worker.testing import PATIENCE, Api
from hubbub_spawner_worker.worker import Worker
from hubbub_spawner_worker.workshop import furnish

STANDIN = Path(__file__).parent / "standin.py"
POOLS = [f"pool{number}" for number in range(200)]


@pytest.fixture
def standin():
    """The command of a server that answers at once."""
    return [sys.executable, "-S", "-E", str(STANDIN)]


@pytest.fixture(scope="session")
def free_pools():
    """Each test has a pool of its own."""
    return itertools.cycle(POOLS)


@pytest.fixture(scope="session")
def shared_nats(tmp_path_factory):
    server = NatsServer(tmp_path_factory.mktemp("nats"), POOLS)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def nats(shared_nats):
    """A nats-server; tests that kill it bring their own under this name."""
    return shared_nats


@pytest.fixture
async def connection(nats):
    """The api's."""
    async with bus.connect(nats.url("api"), "api") as connected:
        await connected.ensure_streams()
        yield connected


@pytest.fixture
async def api(connection, free_pools):
    made = Api(connection, next(free_pools))
    await made.open()
    await made.make_consumer()
    return made


@dataclasses.dataclass
class Hired:
    """A worker at work."""

    worker: Worker
    task: asyncio.Task
    lock: Lock

    async def dismiss(self):
        """As SIGTERM does: it leaves, its servers stay."""
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError, BaseExceptionGroup):
            await self.task
        self.lock.release()


@pytest.fixture
async def hire(nats, api, tmp_path, standin, end_all):
    """hire(name, kind, **options of the spawner): a worker whose data folder is that of all the others."""
    async with contextlib.AsyncExitStack() as stack:

        async def make(
            name="w1", kind="simple", *, lease=2.0, starts=64, capacity=0, told=None, authenticator=None, **options
        ):
            traits = Config()
            traits.JupyterHub.spawner_class = kind
            if authenticator:
                traits.JupyterHub.authenticator_class = authenticator
            traits.Hubbub.worker_starts = starts
            traits.Hubbub.worker_capacity = capacity
            traits.Spawner.cmd = standin
            traits.SimpleLocalProcessSpawner.home_dir_template = str(tmp_path / "home" / "{username}")
            traits.SimpleLocalProcessSpawner.update({"interrupt_timeout": 5, "term_timeout": 5, **options})
            settings = Settings(instance=name, data=str(tmp_path), bus_key=api.key, lease_seconds=lease, capacity=told)
            connected = await stack.enter_async_context(bus.connect(nats.url(f"pool-{api.pool}"), name))
            workshop = furnish(settings, Options(traits, settings), connected.client.publish)
            worker = Worker(connected, workshop, pool=api.pool, lease=lease)
            ready = asyncio.Event()
            hired = Hired(worker, asyncio.create_task(worker.run(ready.set)), workshop.spool.lock)
            stack.push_async_callback(hired.dismiss)
            async with asyncio.timeout(PATIENCE):
                await ready.wait()
            return hired

        yield make


@pytest.fixture
def end_all(tmp_path):
    """No test leaves a server behind, nor its cgroup."""
    yield
    for path in tmp_path.glob("spool/*/*/*.json"):
        with contextlib.suppress(ProcessLookupError, KeyError, ValueError, TypeError):
            os.killpg(json.loads(path.read_text())["pid"], signal.SIGKILL)
        with contextlib.suppress(ValueError, TypeError):
            left = Cgroup(json.loads(path.read_text()).get("cgroups", ()))
            while left.kill():
                time.sleep(0.005)  # they tell nobody
            left.remove()


@pytest.fixture
def record_of(tmp_path):
    """record_of(server): what the spool says, as plain JSON."""

    def find(server):
        found = list(tmp_path.glob(f"spool/*/*/{server}.*.json"))
        return json.loads(found[0].read_text()) if found else None

    return find


@pytest.fixture
def gone():
    """gone(pid): whether that process has ended, whoever reaps it, before patience does."""

    def wait(pid):
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            return True
        try:
            return bool(select.select([descriptor], [], [], PATIENCE)[0])
        finally:
            os.close(descriptor)

    return wait


@pytest.fixture
def is_alive():
    def look(pid):
        try:
            text = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return False
        return text.rpartition(")")[2].split()[0] not in "ZX"

    return look


# Spawners, without a worker around them ----------------------------------------------------


def spec(user="ada", name="lab"):
    return Spec(
        server="s1",
        attempt=1,
        person=Person(id="p1", number=7, name=user, admin=True),
        name=name,
        prefix=f"/base/user/{user}/{name}/",
        hash="sha256:0",
        sealed="",
        deadline=datetime.now(UTC),
        client_id="",
        token_scopes=(),
        access_scopes=(),
    )


@pytest.fixture
def place(tmp_path):
    """place(user, name): where one attempt may leave its things on this host."""
    host = SimpleNamespace(
        boot=boot_id(),
        spool=Spool(tmp_path / "spool", "w1"),
        ports=Ports(tmp_path / "ports", "w1"),
        logs=Logs(tmp_path / "log"),
        sessions=Sessions(),
        cgroups=Cgroups.of(tmp_path, "host"),
        files=None,
    )
    return lambda user, name: LocalPlace(workshop=host, spec=spec(user, name))


@pytest.fixture
async def made(tmp_path, place):
    """made(kind, user=..., **options) -> a spawner in its place, not started."""
    async with contextlib.AsyncExitStack() as stack:

        def make(kind="simple", *, user="ada", name="lab", **options):
            config = Config()
            config.SimpleLocalProcessSpawner.home_dir_template = str(tmp_path / "home" / "{username}")
            found = load_class(kind)
            config[found.__name__].update(options)
            spawner = found(
                config=its_config(found, config),
                user=User(name=user, id=7, url=f"/base/user/{user}/", escaped_name=user, groups=(Group(name="staff"),)),
                hub=Hub(api_url="http://127.0.0.1:8081/base/hub/api", base_url="/base/hub/"),
                name=name,
                prefix=f"/base/user/{user}/{name}/",
                oauth_client_id=f"jupyterhub-user-{user}-{name}",
                oauth_access_scopes=[f"access:servers!server={user}/{name}", f"access:servers!user={user}"],
                oauth_client_allowed_scopes=["read:users:name!user"],
            )
            spawner.place = place(user, name)
            spawner.api_token = "secret-token"
            stack.push_async_callback(stop, spawner)
            return spawner

        yield make


async def stop(spawner):
    spawner.interrupt_timeout = spawner.term_timeout = 0.1
    await spawner.stop()
    spawner.place.leave()
