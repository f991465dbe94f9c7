"""Every command in every state of a server: what happens, or why not."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hubbub.domain.message import REFUSALS, Rejected
from hubbub.domain.server import decider
from hubbub.domain.server_events import (
    AttemptClaimed,
    HolderLost,
    OrphanFound,
    ServerCrashed,
    ServerCreated,
    ServerEvent,
    ServerResponded,
    ServerStarted,
    SpawnRequested,
    StopRequested,
)
from hubbub.domain.server_messages import (
    AdoptOrphan,
    CancelSpawn,
    ClaimAttempt,
    CreateServer,
    DeleteServer,
    Failure,
    ForceStop,
    ForgetOrphan,
    GiveUp,
    LoseAttempt,
    RenameServer,
    ReportDelay,
    ReportExit,
    ReportFailed,
    ReportFound,
    ReportMoved,
    ReportOrphan,
    ReportOrphanRemoved,
    ReportResponded,
    ReportStarted,
    ReportState,
    ServerCommand,
    StartServer,
    StopServer,
)
from hubbub.testing.given import after

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
SOON = NOW + timedelta(minutes=1)
FAILURE = Failure(reason="timeout", message="too slow")

created = ServerCreated(user="u1", name="lab")
requested = SpawnRequested(user="u1", at=NOW, attempt=1, pool="p", prefix="/user/ada/lab/", deadline=SOON, retries=0)
claimed = AttemptClaimed(attempt=1, worker="w1", host="h1", token="t1", deadline=SOON)
started = ServerStarted(attempt=1, url="http://10.0.0.5:8888", deadline=SOON)
responded = ServerResponded(attempt=1, version="6.1", deadline=SOON)
stopping = StopRequested(attempt=1, deadline=SOON, reason="asked")

HISTORIES: dict[str, list[ServerEvent]] = {
    "absent": [],
    "stopped": [created],
    "waiting": [created, requested],
    "held": [created, requested, claimed],
    "started": [created, requested, claimed, started],
    "running": [created, requested, claimed, started, responded],
    "stopping": [created, requested, claimed, started, responded, stopping],
}

# The same of a workload that more than one worker can get at, whose holder is lost; and what it may leave behind.
POOLED: list[ServerEvent] = [
    created,
    requested,
    AttemptClaimed(attempt=1, worker="w1", host="h1", token="t1", deadline=SOON, reach="pool"),
]
lost = HolderLost(attempt=1, reason="gone", deadline=SOON)
left = OrphanFound(attempt=1, host="h1", pool="p", reach="pool", url="http://10.0.0.5:8888", token="t1")
HISTORIES |= {
    "lost-started": [*POOLED, started, lost],
    "lost-running": [*POOLED, started, responded, lost],
    "lost-stopping": [*POOLED, started, responded, stopping, lost],
    "left": [*POOLED, started, responded, ServerCrashed(attempt=1, status=None), left],
}

WISHES: list[ServerCommand] = [
    CreateServer(user="u1", name="lab"),
    StartServer(at=NOW, pool="p", prefix="/user/ada/lab/", deadline=SOON, retries=0),
    StopServer(deadline=SOON),
    CancelSpawn(deadline=SOON),
    RenameServer(name="lab2", display_name=""),
    DeleteServer(),
    GiveUp(attempt=1, failure=FAILURE, deadline=SOON),
    ForceStop(),
    AdoptOrphan(at=NOW, attempt=1, prefix="/user/ada/lab/", deadline=SOON),
    ForgetOrphan(attempt=1),
]


def reports(worker: str, host: str, attempt: int = 1) -> list[ServerCommand]:
    common: dict[str, Any] = {"attempt": attempt, "worker": worker}
    return [
        ClaimAttempt(**common, host=host, token="t9", deadline=SOON),
        ReportState(**common),
        ReportStarted(**common, url="http://10.0.0.5:8888", deadline=SOON),
        ReportResponded(**common, deadline=SOON),
        ReportDelay(**common, deadline=SOON + timedelta(minutes=1)),
        ReportMoved(**common, url="http://10.0.0.6:8888"),
        ReportFailed(**common, failure=FAILURE, deadline=SOON),
        ReportExit(**common, status="1", deadline=SOON),
        ReportFound(**common, host=host, deadline=SOON),
        LoseAttempt(**common, reason="its worker is gone", deadline=SOON),
        ReportOrphan(attempt=attempt, host=host),
        ReportOrphanRemoved(attempt=attempt, host=host),
    ]


ASKED = """
              absent         stopped         waiting      held         started      running        stopping
CreateServer  ServerCreated  AlreadyExists   AlreadyExists AlreadyExists AlreadyExists AlreadyExists AlreadyExists
StartServer   NotFound       SpawnRequested  -            -            -            Rejected       Busy
StopServer    NotFound       -               SpawnFailed  SpawnFailed  SpawnFailed  StopRequested  -
CancelSpawn   NotFound       -               SpawnFailed  SpawnFailed  SpawnFailed  -              -
RenameServer  NotFound       ServerRenamed   Busy         Busy         Busy         Busy           Busy
DeleteServer  NotFound       ServerDeleted   Busy         Busy         Busy         Busy           Busy
GiveUp        NotFound       -     SpawnFailed SpawnFailed SpawnFailed StopRequested ServerStopped+OrphanFound
ForceStop     NotFound       -               Busy         Busy         Busy         Busy ServerStopped+OrphanFound
AdoptOrphan   NotFound       NotFound        NotFound     NotFound     NotFound     NotFound       NotFound
ForgetOrphan  NotFound       -               -            -            -            -              -
"""

ASKED_WITHOUT_A_HOLDER = """
              lost-started  lost-running   lost-stopping  left
CreateServer  AlreadyExists AlreadyExists  AlreadyExists  AlreadyExists
StartServer   -             Rejected       Busy           SpawnRequested
StopServer    SpawnFailed+OrphanFound StopRequested - -
CancelSpawn   SpawnFailed+OrphanFound - - -
RenameServer  Busy          Busy           Busy           Busy
DeleteServer  Busy          Busy           Busy           Busy
GiveUp        SpawnFailed+OrphanFound ServerCrashed+OrphanFound ServerStopped+OrphanFound -
ForceStop     Busy          Busy           ServerStopped+OrphanFound -
AdoptOrphan   NotFound      NotFound       NotFound       OrphanAdopted
ForgetOrphan  -             -              -              OrphanRemoved
"""

# "stopped" has been so from the start: the newest attempt is 0, and every report is of an attempt that never was.
BY_THE_HOLDER = """
                 absent        stopped       waiting        held           started          running        stopping
ClaimAttempt     NotFound      StaleAttempt  AttemptClaimed -              -                -              -
ReportState      NotFound      StaleAttempt  StaleAttempt   -              -                -              -
ReportStarted    NotFound      StaleAttempt  StaleAttempt   ServerStarted  -                -              -
ReportResponded  NotFound      StaleAttempt  StaleAttempt   Invalid        ServerResponded  -              -
ReportDelay      NotFound      StaleAttempt  StaleAttempt   StartExtended  -                -              -
ReportMoved      NotFound      StaleAttempt  StaleAttempt   -              -                ServerMoved    -
ReportFailed     NotFound      StaleAttempt  StaleAttempt   SpawnFailed    SpawnFailed      -              -
ReportExit       StaleAttempt  StaleAttempt  StaleAttempt   SpawnFailed    SpawnFailed      ServerCrashed  ServerStopped
ReportFound      StaleAttempt  StaleAttempt  StaleAttempt   -              -                -              -
LoseAttempt      NotFound      StaleAttempt  StaleAttempt AttemptLost+OrphanFound AttemptLost+OrphanFound \
    ServerCrashed+OrphanFound ServerStopped+OrphanFound
ReportOrphan     StaleAttempt  -             -              -              -                -              -
ReportOrphanRemoved StaleAttempt OrphanRemoved -            -              -                -              -
"""

BY_ANOTHER = """
                 held           started        running        stopping
ClaimAttempt     StaleAttempt   StaleAttempt   StaleAttempt   StaleAttempt
ReportState      StaleAttempt   StaleAttempt   StaleAttempt   StaleAttempt
ReportStarted    StaleAttempt   StaleAttempt   StaleAttempt   StaleAttempt
ReportResponded  StaleAttempt   StaleAttempt   StaleAttempt   StaleAttempt
ReportDelay      StaleAttempt   StaleAttempt   StaleAttempt   StaleAttempt
ReportMoved      StaleAttempt   StaleAttempt   StaleAttempt   StaleAttempt
ReportFailed     StaleAttempt   StaleAttempt   StaleAttempt   StaleAttempt
ReportExit       StaleAttempt   StaleAttempt   StaleAttempt   StaleAttempt
ReportFound      ServerAdopted  ServerAdopted  ServerAdopted  ServerAdopted
LoseAttempt      StaleAttempt   StaleAttempt   StaleAttempt   StaleAttempt
"""

# By whoever held it or by anybody else: it is the same.
WITHOUT_A_HOLDER = """
                 lost-started   lost-running   lost-stopping  left
ClaimAttempt     ServerAdopted  ServerAdopted  ServerAdopted  StaleAttempt
ReportState      StaleAttempt   StaleAttempt   StaleAttempt   StaleAttempt
ReportStarted    StaleAttempt   StaleAttempt   StaleAttempt   StaleAttempt
ReportResponded  StaleAttempt   StaleAttempt   StaleAttempt   StaleAttempt
ReportDelay      StaleAttempt   StaleAttempt   StaleAttempt   StaleAttempt
ReportMoved      StaleAttempt   StaleAttempt   StaleAttempt   StaleAttempt
ReportFailed     StaleAttempt   StaleAttempt   StaleAttempt   StaleAttempt
ReportExit       StaleAttempt   StaleAttempt   StaleAttempt   OrphanRemoved
ReportFound      ServerAdopted  ServerAdopted  ServerAdopted  StaleAttempt
LoseAttempt      StaleAttempt   StaleAttempt   StaleAttempt   -
ReportOrphan     -              -              -              -
ReportOrphanRemoved -           -              -              OrphanRemoved
"""


def cells(table: str, commands: list[ServerCommand]) -> list[Any]:
    """(state, command, what happens) for each cell."""
    head, *lines = table.strip().splitlines()
    by_name = {type(command).__name__: command for command in commands}
    found = []
    for line in lines:
        name, *outcomes = line.split()
        for state, outcome in zip(head.split(), outcomes, strict=True):
            found.append(pytest.param(state, by_name[name], outcome, id=f"{state}-{name}"))
    return found


def outcome_of(state: str, command: ServerCommand) -> str:
    try:
        events = decider.decide(after(decider, HISTORIES[state]), command)
    except Rejected as refusal:
        name = type(refusal).__name__
        return name if name in REFUSALS and str(refusal) else f"{name}, which nobody can be told"
    return "+".join(type(event).__name__ for event in events) or "-"


@pytest.mark.parametrize(("state", "command", "outcome"), cells(ASKED, WISHES) + cells(ASKED_WITHOUT_A_HOLDER, WISHES))
def test_what_comes_of_a_wish(state: str, command: ServerCommand, outcome: str) -> None:
    assert outcome == outcome_of(state, command)


@pytest.mark.parametrize(("state", "command", "outcome"), cells(BY_THE_HOLDER, reports("w1", "h1")))
def test_what_comes_of_a_report_by_the_holder(state: str, command: ServerCommand, outcome: str) -> None:
    assert outcome == outcome_of(state, command)


@pytest.mark.parametrize(("state", "command", "outcome"), cells(BY_ANOTHER, reports("w2", "h2")))
def test_what_comes_of_a_report_by_another_worker(state: str, command: ServerCommand, outcome: str) -> None:
    assert outcome == outcome_of(state, command)


@pytest.mark.parametrize("worker", ["w1", "w2"])
@pytest.mark.parametrize(
    ("state", "kind", "outcome"),
    [
        pytest.param(s, type(c), o, id=f"{s}-{type(c).__name__}")
        for s, c, o in (each.values for each in cells(WITHOUT_A_HOLDER, reports("w1", "h1")))
    ],
)
def test_what_comes_of_a_report_while_nobody_holds_it(state: str, kind: type, outcome: str, worker: str) -> None:
    [report] = [each for each in reports(worker, "h1") if type(each) is kind]
    assert outcome == outcome_of(state, report)


# 0 is what a server that was never started has.
ELSEWHEN = [(state, attempt) for state in HISTORIES for attempt in (0, 2) if (state, attempt) != ("stopped", 0)]


@pytest.mark.parametrize(("state", "attempt"), ELSEWHEN)
@pytest.mark.parametrize("kind", [type(report) for report in reports("w1", "h1")[:-2]])
def test_news_of_another_attempt_is_stale(state: str, kind: type, attempt: int) -> None:
    [report] = [each for each in reports("w1", "h1", attempt) if type(each) is kind]
    assert outcome_of(state, report) in ("StaleAttempt", "NotFound" if state == "absent" else "StaleAttempt")


@pytest.mark.parametrize("state", ["waiting", "held", "started", "running", "stopping"])
def test_a_deadline_of_an_earlier_attempt_says_nothing_of_this_one(state: str) -> None:
    assert outcome_of(state, GiveUp(attempt=0, failure=FAILURE, deadline=SOON)) == "-"


def test_the_tables_hold_every_command() -> None:
    tested = {type(command) for command in [*WISHES, *reports("w1", "h1")]}
    assert tested == set(decider.commands.__args__)
