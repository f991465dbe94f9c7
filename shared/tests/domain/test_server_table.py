"""Every command in every state of a server: what happens, or why not."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hubbub.domain.message import REFUSALS, Rejected
from hubbub.domain.server import decider
from hubbub.domain.server_messages import (
    AttemptClaimed,
    CancelSpawn,
    ClaimAttempt,
    CreateServer,
    DeleteServer,
    Failure,
    GiveUp,
    LoseAttempt,
    RenameServer,
    ReportExit,
    ReportFailed,
    ReportFound,
    ReportOrphan,
    ReportOrphanRemoved,
    ReportResponded,
    ReportStarted,
    ReportState,
    ServerCommand,
    ServerCreated,
    ServerEvent,
    ServerResponded,
    ServerStarted,
    SpawnRequested,
    StartServer,
    StopRequested,
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

WISHES: list[ServerCommand] = [
    CreateServer(user="u1", name="lab"),
    StartServer(at=NOW, pool="p", prefix="/user/ada/lab/", deadline=SOON, retries=0),
    StopServer(deadline=SOON),
    CancelSpawn(deadline=SOON),
    RenameServer(name="lab2", display_name=""),
    DeleteServer(),
    GiveUp(attempt=1, failure=FAILURE, deadline=SOON),
]


def reports(worker: str, host: str, attempt: int = 1) -> list[ServerCommand]:
    common: dict[str, Any] = {"attempt": attempt, "worker": worker}
    return [
        ClaimAttempt(**common, host=host, token="t9", deadline=SOON),
        ReportState(**common),
        ReportStarted(**common, url="http://10.0.0.5:8888", deadline=SOON),
        ReportResponded(**common, deadline=SOON),
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
GiveUp        NotFound       -               SpawnFailed  SpawnFailed  SpawnFailed  StopRequested  ServerStopped
"""

# "stopped" has been so from the start: the newest attempt is 0, and every report is of an attempt that never was.
BY_THE_HOLDER = """
                 absent        stopped       waiting        held           started          running        stopping
ClaimAttempt     NotFound      StaleAttempt  AttemptClaimed -              -                -              -
ReportState      NotFound      StaleAttempt  StaleAttempt   -              -                -              -
ReportStarted    NotFound      StaleAttempt  StaleAttempt   ServerStarted  -                -              -
ReportResponded  NotFound      StaleAttempt  StaleAttempt   Invalid        ServerResponded  -              -
ReportFailed     NotFound      StaleAttempt  StaleAttempt   SpawnFailed    SpawnFailed      -              -
ReportExit       StaleAttempt  StaleAttempt  StaleAttempt   SpawnFailed    SpawnFailed      ServerCrashed  ServerStopped
ReportFound      StaleAttempt  StaleAttempt  StaleAttempt   -              -                -              -
LoseAttempt      NotFound      StaleAttempt  StaleAttempt   AttemptLost    AttemptLost      ServerCrashed  ServerStopped
ReportOrphan     StaleAttempt  OrphanFound   OrphanFound    OrphanFound    OrphanFound      OrphanFound    OrphanFound
ReportOrphanRemoved StaleAttempt OrphanRemoved OrphanRemoved OrphanRemoved OrphanRemoved    OrphanRemoved  OrphanRemoved
"""

BY_ANOTHER = """
                 held           started        running        stopping
ClaimAttempt     StaleAttempt   StaleAttempt   StaleAttempt   StaleAttempt
ReportState      StaleAttempt   StaleAttempt   StaleAttempt   StaleAttempt
ReportStarted    StaleAttempt   StaleAttempt   StaleAttempt   StaleAttempt
ReportResponded  StaleAttempt   StaleAttempt   StaleAttempt   StaleAttempt
ReportFailed     StaleAttempt   StaleAttempt   StaleAttempt   StaleAttempt
ReportExit       StaleAttempt   StaleAttempt   StaleAttempt   StaleAttempt
ReportFound      ServerAdopted  ServerAdopted  ServerAdopted  ServerAdopted
LoseAttempt      StaleAttempt   StaleAttempt   StaleAttempt   StaleAttempt
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


@pytest.mark.parametrize(("state", "command", "outcome"), cells(ASKED, WISHES))
def test_what_comes_of_a_wish(state: str, command: ServerCommand, outcome: str) -> None:
    assert outcome == outcome_of(state, command)


@pytest.mark.parametrize(("state", "command", "outcome"), cells(BY_THE_HOLDER, reports("w1", "h1")))
def test_what_comes_of_a_report_by_the_holder(state: str, command: ServerCommand, outcome: str) -> None:
    assert outcome == outcome_of(state, command)


@pytest.mark.parametrize(("state", "command", "outcome"), cells(BY_ANOTHER, reports("w2", "h2")))
def test_what_comes_of_a_report_by_another_worker(state: str, command: ServerCommand, outcome: str) -> None:
    assert outcome == outcome_of(state, command)


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
