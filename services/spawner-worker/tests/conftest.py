"""A real nats-server, an api that decides by the real domain but forgets at exit, and workers to try with them."""

import asyncio
import contextlib
import dataclasses
import json
import os
import select
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest
from cryptography.fernet import Fernet
from nats.js.api import AckPolicy, ConsumerConfig
from traitlets.config import Config

from hubbub import bus
from hubbub.config import Options
from hubbub.domain.message import Rejected
from hubbub.domain.server import decider
from hubbub.domain.server_messages import (
    CancelSpawn,
    ClaimAttempt,
    CreateServer,
    LoseAttempt,
    ReportFound,
    StartServer,
    StopServer,
)
from hubbub.domain.server_states import Absent, Spawning, react
from hubbub.rpc import (
    Answer,
    Answers,
    Claim,
    Claimed,
    Done,
    Held,
    Hello,
    LogTail,
    Person,
    Refusal,
    Reports,
    Spec,
    Welcome,
    Word,
)
from hubbub.settings import Settings
from hubbub_spawner_worker.worker import Worker
from hubbub_spawner_worker.workshop import furnish

STANDIN = Path(__file__).parent / "standin.py"
KEY = Fernet.generate_key().decode()
PATIENCE = 20


@pytest.fixture
def standin():
    """The command of a server that answers at once."""
    return [sys.executable, "-S", "-E", str(STANDIN)]


@pytest.fixture(scope="session")
def nats_url(tmp_path_factory):
    """A nats-server with JetStream, on a port that it chooses itself."""
    folder = tmp_path_factory.mktemp("nats")
    binary = Path(sys.executable).parent / "nats-server"
    command = [binary, "-a", "127.0.0.1", "-p", "-1", "--ports_file_dir", folder, "-js", "-sd", folder / "js"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield _address(folder, process)
    finally:
        process.terminate()
        process.wait()


def _address(folder, process):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        for found in folder.glob("nats-server_*.ports"):
            with contextlib.suppress(ValueError):
                return json.loads(found.read_text())["nats"][0]
        time.sleep(0.005)  # it tells nobody but this file
    pytest.fail(f"nats-server did not start: {(folder / 'log').read_text()}")


@pytest.fixture
async def connection(nats_url):
    """A connection to it, with the house's streams; every test has a pool of its own."""
    async with bus.connect(nats_url, "test") as connected:
        await connected.ensure_streams()
        yield connected


class Api:
    """Answers as the api does, from a dictionary. `refuse`: reports by class name that it answers with an error."""

    def __init__(self, connection, pool):
        self.bus = connection
        self.pool = pool
        self.states = {}
        self.seen = []
        self.specs = {}
        self.hellos = []
        self.claims = 0
        self.deaf_to_claims = 0
        self.hello_refusal = None
        self.holdings_hidden = False
        self.key = KEY
        self.sealer = Fernet(KEY.encode())
        self._answered = {}
        self._changed = asyncio.Event()
        self._wishes = {}

    async def open(self):
        for verb in ("claim", "report", "hello", "holdings"):
            await self.bus.answer(f"hub.rpc.{verb}.{self.pool}.*", getattr(self, f"_{verb}"))

    async def make_consumer(self):
        config = ConsumerConfig(
            durable_name=f"pool-{self.pool}",
            filter_subject=f"hub.ticket.pool.{self.pool}",
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=10,
        )
        await self.bus.js.add_consumer("TICKETS", config)

    # What tests do

    async def start(self, server, *, user="ada", name="", options=None, ticket=True):
        if server not in self.states:
            self._act(server, CreateServer(user=user, name=name))
        prefix = f"/user/{user}/" + (f"{name}/" if name else "")
        self._act(server, StartServer(pool=self.pool, prefix=prefix, at=_now(), deadline=_soon(), retries=2))
        self._wishes[server] = (user, options or {})
        if ticket:
            await self.ticket(b"")

    async def ticket(self, data):
        await self.bus.js.publish(f"hub.ticket.pool.{self.pool}", data)

    async def stop(self, server, *, tell=True):
        self._act(server, StopServer(deadline=_soon()))
        await self._word(server, tell)

    async def cancel(self, server):
        self._act(server, CancelSpawn(deadline=_soon()))
        await self._word(server, True)

    def lose(self, server):
        state = self.states[server]
        self._act(server, LoseAttempt(attempt=state.attempt, worker=state.holder, reason="test", deadline=_soon()))

    async def log_of(self, worker, server, lines=10):
        word = Word(server=server, attempt=1, verb="log", lines=lines)
        return await self.bus.ask(f"hub.holder.{worker}", word, LogTail)

    async def until(self, true):
        """*true* of the states, looked at after every change."""
        async with asyncio.timeout(PATIENCE):
            while not true():
                self._changed.clear()
                await self._changed.wait()

    async def until_is(self, server, kind):
        await self.until(lambda: isinstance(self.states.get(server), kind))
        return self.states[server]

    def reported(self, kind):
        return [report.report for report in self.seen if type(report.report).__name__ == kind]

    # What workers ask

    async def _claim(self, subject, data):
        self.claims += 1
        self._changed.set()
        claim, worker = msgspec.json.decode(data, type=Claim), subject.split(".")[-1]
        if claim.hashes not in self._answered:
            waiting = [id for id, state in self.states.items() if isinstance(state, Spawning) and not state.holder]
            taken = waiting[: len(claim.hashes)]
            specs = tuple(
                self._give(id, worker, claim.host, hash) for id, hash in zip(taken, claim.hashes, strict=False)
            )
            self._answered[claim.hashes] = Claimed(specs=specs, waiting=len(waiting) - len(taken))
        if self.deaf_to_claims:
            self.deaf_to_claims -= 1
            raise RuntimeError("the answer is lost")
        return self._answered[claim.hashes]

    def _give(self, server, worker, host, hash):
        attempt = self.states[server].attempt
        self._act(server, ClaimAttempt(attempt=attempt, worker=worker, host=host, token="t", deadline=_soon()))
        user, options = self._wishes[server]
        state = self.states[server]
        self.specs[server] = Spec(
            server=server,
            attempt=attempt,
            person=Person(id="p1", number=1, name=user, admin=False),
            name=state.name,
            prefix=state.prefix,
            hash=hash,
            sealed=self.sealer.encrypt(json.dumps({"options": options, "state": {}}).encode()).decode(),
            deadline=_soon(),
            client_id=f"jupyterhub-user-{user}",
            token_scopes=(),
            access_scopes=(f"access:servers!user={user}",),
        )
        return self.specs[server]

    async def _report(self, subject, data):
        worker = subject.split(".")[-1]
        answers = []
        for sent in msgspec.json.decode(data, type=Reports).reports:
            self.seen.append(sent)
            report = sent.report
            if hasattr(report, "worker"):
                report = msgspec.structs.replace(report, worker=worker)
            answers.append(self._decided(sent.server, report))
        return Answers(answers=tuple(answers))

    async def _hello(self, subject, data):
        worker = subject.split(".")[-1]
        hello = msgspec.json.decode(data, type=Hello)
        self.hellos.append((worker, hello))
        if self.hello_refusal:
            return Welcome(refused=Refusal(kind="Invalid", message=self.hello_refusal))
        answers = []
        for found in hello.found:
            report = ReportFound(attempt=found.attempt, worker=worker, host=hello.host, deadline=_soon(), url=found.url)
            answers.append(self._decided(found.server, report))
        kept = {found.server for found, answer in zip(hello.found, answers, strict=True) if answer.state}
        for server, state in list(self.states.items()):
            if getattr(state, "holder", None) == worker and server not in kept:
                self.lose(server)
        return Welcome(answers=tuple(answers))

    async def _holdings(self, subject, data):
        worker = subject.split(".")[-1]
        if self.holdings_hidden:
            return Held(servers={})
        mine = {id: state for id, state in self.states.items() if getattr(state, "holder", None) == worker}
        return Held(servers={id: state for id, state in mine.items() if react(state)})

    def _decided(self, server, report):
        try:
            return Answer(state=self._act(server, report))
        except Rejected as refusal:
            return Answer(refused=Refusal(kind=type(refusal).__name__, message=str(refusal)))
        finally:
            self._changed.set()

    def _act(self, server, command):
        state = self.states.get(server, Absent())
        for event in decider.decide(state, command):
            state = decider.evolve(state, event)
        self.states[server] = state
        self._changed.set()
        return state

    async def _word(self, server, tell):
        state = self.states[server]
        holder = getattr(state, "holder", None)
        if tell and holder:
            await self.bus.ask(f"hub.holder.{holder}", Word(server=server, attempt=state.attempt), Done)


def _now():
    return datetime.now(UTC)


def _soon():
    return _now() + timedelta(seconds=60)


@pytest.fixture
async def api(connection):
    made = Api(connection, f"pool-{uuid4().hex[:8]}")
    await made.open()
    await made.make_consumer()
    return made


@dataclasses.dataclass
class Hired:
    """A worker at work."""

    worker: Worker
    task: asyncio.Task
    workshop: object

    async def dismiss(self):
        """As SIGTERM does: it leaves, its servers stay."""
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task
        self.workshop.spool.lock.release()


@pytest.fixture
async def hire(nats_url, api, tmp_path, standin, end_all):
    """hire(name, kind, **options of c.Spawner): a worker whose data folder is that of all the others."""
    async with contextlib.AsyncExitStack() as stack:

        async def make(name="w1", kind="simple", *, lease=2.0, hubbub=None, **options):
            traits = Config()
            traits.JupyterHub.spawner_class = kind
            traits.Hubbub.worker_capacity = 64
            traits.Hubbub.update(hubbub or {})
            traits.Spawner.cmd = standin
            traits.SimpleLocalProcessSpawner.home_dir_template = str(tmp_path / "home" / "{username}")
            traits.SimpleLocalProcessSpawner.update({"interrupt_timeout": 5, "term_timeout": 5})
            traits.Spawner.update({key: value for key, value in options.items() if "_timeout" not in key})
            traits.SimpleLocalProcessSpawner.update({key: value for key, value in options.items() if "_timeout" in key})
            settings = Settings(instance=name, data=str(tmp_path), bus_key=KEY, lease_seconds=lease)
            connected = await stack.enter_async_context(bus.connect(nats_url, name))
            workshop = furnish(settings, Options(traits, settings), connected.client.publish)
            worker = Worker(connected, workshop, pool=api.pool, lease=lease)
            ready = asyncio.Event()
            hired = Hired(worker, asyncio.create_task(worker.run(ready.set)), workshop)
            stack.push_async_callback(hired.dismiss)
            waiting = asyncio.create_task(ready.wait())
            await asyncio.wait({waiting, hired.task}, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
            if hired.task.done():
                hired.task.result()
            assert ready.is_set()
            return hired

        yield make


@pytest.fixture
def end_all(tmp_path):
    """No test leaves a server behind."""
    yield
    for path in tmp_path.glob("spool/*/*/*.json"):
        with contextlib.suppress(ProcessLookupError, KeyError, ValueError, TypeError):
            os.killpg(json.loads(path.read_text())["pid"], signal.SIGKILL)


@pytest.fixture
def record_of(tmp_path):
    """record_of(server): what the spool says, as plain JSON."""

    def find(server):
        found = list(tmp_path.glob(f"spool/*/*/{server}.*.json"))
        return json.loads(found[0].read_text()) if found else None

    return find


@pytest.fixture
def gone():
    """gone(pid): wait until that process has ended, whoever reaps it."""

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
