"""JupyterHub's own spawner classes, and subclasses of them, hosted as they are."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from pathlib import Path
from typing import ClassVar

import pytest
from jupyterhub.auth import DummyAuthenticator
from jupyterhub.spawner import SimpleLocalProcessSpawner, SpawnException
from jupyterhub.spawner import Spawner as JupyterHubs
from tornado.ioloop import IOLoop
from traitlets import Unicode

from hubbub.domain.server_messages import ReportExit, ReportFailed, ReportMoved, ReportStarted, ReportState
from hubbub.domain.server_states import Running, Started, Stopped
from hubbub.floor import PluginExited
from hubbub.rpc import Report, ReportScopes
from hubbub.testing.eventually import eventually
from hubbub.tokens import token_hash
from hubbub_spawner_worker.classic.making import reach_of

STANDIN = Path(__file__).parent / "standin.py"


class Classic(SimpleLocalProcessSpawner):
    """JupyterHub's, below the test's own folder."""

    async def start(self):
        Path(self.home_dir).mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240  (a test)
        return await super().start()


@pytest.fixture
async def classic(hire, tmp_path, standin):
    """classic(kind, name, **options of c.Spawner)"""

    async def make(kind=Classic, name="w1", **options):
        return await hire(name, kind, home_dir_template=str(tmp_path / "home" / "{username}"), **options)

    return make


@pytest.fixture(autouse=True)
def end_children():
    yield
    for pid in PIDS:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    PIDS.clear()


PIDS = []


async def test_it_starts_answers_and_stops(api, classic, is_alive):
    await classic()
    await api.start("s1")
    state = await api.until_is("s1", Running)
    assert state.reach == "host"
    [started] = api.reported(ReportStarted)
    assert started.url == state.url and started.sealed
    pid = state_of(api, "s1")["pid"]
    assert is_alive(pid)
    await api.stop("s1")
    stopped = await api.until_is("s1", Stopped)
    assert stopped.failure is None
    assert not is_alive(pid)


async def test_a_worker_that_comes_back_takes_up_what_it_had(api, classic, is_alive):
    first = await classic(poll_interval=1)
    await api.start("s1")
    await api.until_is("s1", Running)
    pid = state_of(api, "s1")["pid"]
    PIDS.append(pid)
    await first.dismiss()
    assert is_alive(pid)
    await classic(poll_interval=1)
    await api.until(lambda: api.holder("s1"))
    assert isinstance(api.states["s1"], Running)
    os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        # The worker that began it is this process, and JupyterHub takes a zombie for alive.
        os.waitpid(pid, 0)  # noqa: ASYNC222  (it is dead)
    stopped = await api.until_is("s1", Stopped)
    assert stopped.crashed is not None


class Blocks(Classic):
    async def start(self):
        time.sleep(1.5)  # noqa: ASYNC251  (that is what is tried)
        return await super().start()


async def test_code_that_blocks_delays_nobody_else(api, classic):
    hired = await classic(Blocks)
    beats = 0

    async def count():
        nonlocal beats
        while True:
            await asyncio.sleep(0.01)
            beats += 1

    counting = asyncio.create_task(count())
    await api.start("s1")
    await api.until_is("s1", Running)
    counting.cancel()
    assert beats > 100
    assert not hired.task.done()
    await api.stop("s1")
    await api.until_is("s1", Stopped)


class Exits(Classic):
    async def start(self):
        sys.exit(1)


async def test_a_plugin_that_wants_to_end_the_hub_fails_alone(api, classic):
    hired = await classic(Exits)
    await api.start("s1")
    stopped = await api.until_is("s1", Stopped)
    assert "end the whole process" in stopped.failure.message or "SystemExit" in stopped.failure.message
    assert not hired.task.done()


class Leaves(Classic):
    """Something it has begun gives up by itself, some time later."""

    async def start(self):
        address = await super().start()
        asyncio.get_running_loop().call_later(0.2, sys.exit, 1)
        return address


async def test_a_plugin_that_ends_by_itself_ends_its_worker_and_the_next_goes_on(api, classic):
    hired = await classic(Leaves)
    await api.start("s1")
    await api.until_is("s1", Running)
    with pytest.raises(BaseExceptionGroup, match="unhandled errors") as ended:
        await asyncio.wait_for(hired.task, 20)
    assert ended.group_contains(PluginExited)
    hired.lock.release()
    await classic(poll_interval=1)
    await api.until(lambda: api.holder("s1"))
    assert isinstance(api.states["s1"], Running)
    pid = state_of(api, "s1")["pid"]
    os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)  # noqa: ASYNC222  (it is dead)
    await api.until_is("s1", Stopped)


class Refuses(Classic):
    async def start(self):
        raise SpawnException("no room", reason="capacity", message_html="<b>no room</b>", status_code=503)


async def test_a_spawn_exception_is_told_as_it_was_said(api, classic):
    await classic(Refuses)
    await api.start("s1")
    failure = (await api.until_is("s1", Stopped)).failure
    assert (failure.reason, failure.status, failure.message) == ("capacity", 503, "no room")
    assert failure.html == "<b>no room</b>"


class Steps(Classic):
    """Everything that is called, in order; told by the token's last use: the failure message."""

    seen: ClassVar[list[str]] = []
    color = Unicode("red", config=True)

    def load_state(self, state):
        self.__class__.seen.append("load_state")
        super().load_state(state)

    def clear_state(self):
        self.__class__.seen.append("clear_state")
        super().clear_state()

    async def start(self):
        self.__class__.seen.append(f"start {self.color} {bool(self.api_token)} {IOLoop.current() is not None}")
        return await super().start()


class Greets(DummyAuthenticator):
    def pre_spawn_start(self, user, spawner):
        Steps.seen.append(f"pre_spawn_start {user.name}")

    def post_spawn_stop(self, user, spawner):
        Steps.seen.append(f"post_spawn_stop {user.name}")


async def test_hooks_come_in_jupyterhubs_order(api, hire, tmp_path):
    def log(what):
        return lambda spawner, *_: Steps.seen.append(f"{what} {spawner.user.name}")

    async def apply(spawner, options):
        Steps.seen.append(f"apply_user_options {options}")
        spawner.color = options["color"]

    Steps.seen = []
    await hire(
        "w1",
        Steps,
        home_dir_template=str(tmp_path / "home" / "{username}"),
        auth_state_hook=log("auth_state_hook"),
        pre_spawn_hook=log("pre_spawn_hook"),
        post_stop_hook=log("post_stop_hook"),
        apply_user_options=apply,
        authenticator=Greets,
    )
    await api.start("s1", options={"color": "blue"})
    await api.until_is("s1", Running)
    await api.stop("s1")
    await api.until_is("s1", Stopped)
    start = Steps.seen.index("start blue True True")
    # What JupyterHub's own poll clears when it finds the process gone is not the hub's doing.
    seen = [*Steps.seen[:start], *[step for step in Steps.seen[start:-2] if step != "clear_state"], *Steps.seen[-2:]]
    assert seen == [
        "load_state",
        "clear_state",
        "pre_spawn_start ada",
        "auth_state_hook ada",
        "apply_user_options {'color': 'blue'}",
        "pre_spawn_hook ada",
        "start blue True True",
        "post_stop_hook ada",
        "clear_state",
        "post_spawn_stop ada",
    ]


async def test_options_that_cannot_be_applied_are_a_400(api, classic):
    await classic(apply_user_options={"port": "port"})
    await api.start("s1", options={"port": "many"})
    failure = (await api.until_is("s1", Stopped)).failure
    assert failure.status == 400
    assert failure.message.startswith("Invalid user options")


class Slow(Classic):
    """Knows what it has begun long before it has started."""

    job = ""

    def get_state(self):
        return {**super().get_state(), **({"job": self.job} if self.job else {})}

    async def start(self):
        self.job = "j1"
        await asyncio.Event().wait()


async def test_its_state_is_told_while_it_starts_and_a_cancelled_start_is_stopped(api, classic):
    await classic(Slow)
    await api.start("s1")
    await api.until(lambda: any(isinstance(sent.report, ReportState) and sent.report.sealed for sent in api.seen))
    assert state_of(api, "s1") == {"job": "j1"}
    await api.cancel("s1")
    stopped = await api.until_is("s1", Stopped)
    assert stopped.failure.reason == "cancelled"


class Batch(Classic):
    """A poll that is cancelled makes it forget what it knows, as with batchspawner: nobody ever cancels one."""

    async def poll(self):
        try:
            await asyncio.sleep(0.3)
        except asyncio.CancelledError:
            self.pid, self.proc = 0, None
            raise
        return await super().poll()


async def test_a_poll_is_never_cut_short(api, classic, is_alive):
    await classic(Batch)
    await api.start("s1")
    await api.until_is("s1", Running)
    pid = state_of(api, "s1")["pid"]
    await api.stop("s1")
    await api.until_is("s1", Stopped)
    assert not is_alive(pid)


class Late(Classic):
    """It learns what it has begun a moment later, as sudospawner does."""

    async def start(self):
        address = await super().start()
        begun = self.pid, self.proc
        self.pid, self.proc = 0, None
        PIDS.append(begun[0])
        await asyncio.sleep(0.7)
        self.pid, self.proc = begun
        return address


async def test_a_start_that_is_given_up_goes_on_until_it_is_known_what_it_began(api, classic, is_alive):
    await classic(Late)
    await api.start("s1")
    await eventually(lambda: PIDS)
    await api.cancel("s1")
    await api.until_is("s1", Stopped)
    assert not is_alive(PIDS[0])


class Moves(Classic):
    """Its pod has got another address, as KubeSpawner's poll finds out."""

    where = None

    async def poll(self):
        if Moves.where:
            self.server.port = Moves.where
            self.db.commit()
        return await super().poll()


async def test_a_server_that_moved_is_told(api, classic):
    await classic(Moves, poll_interval=1)
    await api.start("s1")
    await api.until_is("s1", Running)
    Moves.where = 4321
    try:
        await api.until(lambda: api.reported(ReportMoved))
    finally:
        Moves.where = None
    assert api.states["s1"].url == "http://127.0.0.1:4321"
    await api.stop("s1")
    await api.until_is("s1", Stopped)


class Resumes(Classic):
    """Takes up an old container, which has an old token."""

    async def start(self):
        address = await super().start()
        self.api_token = "the-token-of-old"
        return address


async def test_a_token_that_is_handed_back_is_told_by_its_hash(api, classic):
    await classic(Resumes)
    await api.start("s1")
    await api.until_is("s1", Running)
    [started] = api.reported(ReportStarted)
    assert started.resumed == token_hash("the-token-of-old")
    assert b"the-token-of-old" not in repr(api.seen).encode()
    await api.stop("s1")
    await api.until_is("s1", Stopped)


async def test_scopes_that_callables_work_out_are_told_before_the_start(api, classic):
    await classic(
        server_token_scopes=lambda spawner: ["self", f"read:users!user={spawner.user.name}"],
        oauth_client_allowed_scopes=lambda spawner: ["self"],
    )
    await api.start("s1")
    await api.until_is("s1", Running)
    kinds = [type(sent.report) for sent in api.seen if isinstance(sent, Report)]
    assert kinds.index(ReportScopes) < kinds.index(ReportStarted)
    [told] = api.reported(ReportScopes)
    assert told.token == ("self", "read:users!user=ada") and told.browsers == ("self",)
    await api.stop("s1")
    await api.until_is("s1", Stopped)


class Dies(Classic):
    async def start(self):
        address = await super().start()
        os.kill(self.pid, signal.SIGKILL)
        return address


async def test_one_that_dies_before_it_answers_has_failed(api, classic):
    await classic(Dies)
    await api.start("s1")
    stopped = await api.until_is("s1", Stopped)
    assert stopped.failure.reason == "exited"


class Never(Classic):
    cmd: ClassVar = [sys.executable, "-c", "import time; time.sleep(600)"]


async def test_one_that_never_answers_is_stopped(api, classic, is_alive):
    await classic(Never, http_timeout=1, cmd=Never.cmd)
    await api.start("s1")
    await api.until_is("s1", Started)
    pid = state_of(api, "s1")["pid"]
    PIDS.append(pid)
    stopped = await api.until_is("s1", Stopped)
    assert stopped.failure.reason == "timeout"
    assert not is_alive(pid)
    assert not api.reported(ReportFailed)[0].failure.html


def state_of(api, server):
    """The newest state that was told, opened."""
    sealed = [sent.report.sealed for sent in api.seen if sent.server == server and getattr(sent.report, "sealed", "")]
    return api.opened(sealed[-1])


class Keeps(Classic):
    """As those do whose volumes outlive their servers."""

    volume = ""

    def get_state(self):
        return {**super().get_state(), **({"volume": self.volume} if self.volume else {})}

    def load_state(self, state):
        super().load_state(state)
        self.volume = state.get("volume", "")

    async def start(self):
        self.volume = self.volume or "v1"
        return await super().start()


async def test_what_a_spawner_still_knows_when_it_has_stopped_is_kept(api, classic):
    await classic(Keeps)
    await api.start("s1")
    await api.until_is("s1", Running)
    await api.stop("s1")
    await api.until_is("s1", Stopped)
    [exited] = api.reported(ReportExit)
    assert api.opened(exited.sealed) == {"volume": "v1"}


async def test_nothing_is_kept_of_one_that_knows_nothing_any_more(api, classic):
    await classic()
    await api.start("s1")
    await api.until_is("s1", Running)
    await api.stop("s1")
    await api.until_is("s1", Stopped)
    assert [exited.sealed for exited in api.reported(ReportExit)] == [""]


class Anywhere(JupyterHubs):
    """JupyterHub's base class wants these three."""

    async def start(self):
        return "http://127.0.0.1:9"

    async def stop(self, now=False):
        pass

    async def poll(self):
        return 0


class OnThisHost(Anywhere):
    reach = "host"


@pytest.mark.parametrize(("kind", "reach"), [(Classic, "host"), (Anywhere, "pool"), (OnThisHost, "host")])
def test_who_can_reach_what_it_starts_is_told_by_the_class(kind, reach):
    assert reach_of(kind) == reach
