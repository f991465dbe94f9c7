"""What travels in requests and replies between the api and those who know only the bus."""

from datetime import datetime
from typing import TypeAlias

import msgspec

from hubbub.counting import Part
from hubbub.domain.server_messages import (
    Reach,
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
)
from hubbub.domain.server_states import Server


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Decoding ignores fields that it does not know, so that releases can differ by a step."""


class Refusal(Message, frozen=True):
    """Nothing was changed. `kind` is a name in `hubbub.domain.message.REFUSALS`."""

    kind: str
    message: str


class Person(Message, frozen=True):
    id: str
    number: int
    name: str
    admin: bool
    groups: tuple[str, ...] = ()


# hub.rpc.claim.<pool>.<worker> ----------------------------------------------------------


class Claim(Message, frozen=True):
    """*hashes*: of as many fresh API tokens as there are servers this worker could start now. *room*: how many it
    could take over from others. *reach*: of what it starts. *id*: the same when the same claim is sent *again*, which
    then gets the same.
    """

    host: str
    hashes: tuple[str, ...]
    room: int = 0
    reach: Reach = "process"
    id: str = ""
    again: bool = False


class Spec(Message, frozen=True):
    """An attempt that the worker holds from now on. `sealed`: under the bus key, JSON
    `{"options": {...}, "state": {...}}`, and where there is such a thing `"auth_state": {...}`, `"request": {...}` (a
    `hubbub.form_messages.WebRequest`), and the person's `"groups": [{"name": "...", "properties": {...}}]`.

    Where the configuration has callables for them, `token_scopes` is what every server has, and
    `client_allowed_scopes` is empty: see ReportScopes.

    `service`: the managed service that it is, which the worker finds in its own configuration, and there
    it has to have this `digest` (see `hubbub.managed`); then `person` is nobody.
    """

    server: str
    attempt: int
    person: Person
    name: str
    prefix: str
    hash: str
    sealed: str
    deadline: datetime
    client_id: str
    token_scopes: tuple[str, ...]
    access_scopes: tuple[str, ...]
    client_allowed_scopes: tuple[str, ...] = ()
    display_name: str = ""
    traceparent: str = ""
    correlation: str = ""
    service: str = ""
    digest: str = ""
    reach: Reach = "process"


class Inherited(Message, frozen=True):
    """An attempt whose holder was lost, and which this worker holds from now on: `state` is what it is."""

    spec: Spec
    state: Server


class Claimed(Message, frozen=True):
    """`waiting`: how many more attempts wait in the pool. `inherited`: to be looked after. `leftovers`: attempts
    that are over and have to be ended, if there is anything left of them: their state is sealed in the spec.
    `draining`: it gets no start, and may leave hints of such to its colleagues.
    """

    specs: tuple[Spec, ...] = ()
    waiting: int = 0
    inherited: tuple[Inherited, ...] = ()
    leftovers: tuple[Spec, ...] = ()
    draining: bool = False


# hub.rpc.report.<pool>.<worker> ---------------------------------------------------------


class ReportScopes(Message, frozen=True, tag=True, tag_field="type"):
    """What callables of the configuration have worked out for this attempt: the scopes of the server's API token
    (null: as they are), and those that browsers' tokens may have. No command of the server: it is about its token.
    """

    attempt: int
    worker: str
    token: tuple[str, ...] | None = None
    browsers: tuple[str, ...] | None = None


ServerReport: TypeAlias = (
    ReportState
    | ReportStarted
    | ReportResponded
    | ReportDelay
    | ReportMoved
    | ReportScopes
    | ReportFailed
    | ReportExit
    | ReportFound
    | ReportOrphan
    | ReportOrphanRemoved
)


class Report(Message, frozen=True):
    """One report of one server. `report.worker` is overwritten by the subject's, `deadline`s in it are
    seconds-from-now as the worker knows them, turned into times by Postgres's clock: see `seconds`.
    """

    server: str
    report: ServerReport
    seconds: float = 30.0
    traceparent: str = ""


class Reports(Message, frozen=True):
    reports: tuple[Report, ...]


class Answer(Message, frozen=True):
    """What is true now, or why the report was refused; StaleAttempt alone means "you lost"."""

    state: Server | None = None
    refused: Refusal | None = None


class Answers(Message, frozen=True):
    answers: tuple[Answer, ...]


# hub.rpc.auth_state.<pool>.<worker> -------------------------------------------------------


class SaveAuthState(Message, frozen=True):
    """From the holder of an attempt: what its hooks want to be kept of the server's owner. *sealed*: under the bus
    key, a JSON object; null to keep nothing.
    """

    server: str
    attempt: int
    sealed: str


# hub.rpc.hello.<pool>.<worker>, hub.rpc.holdings.<pool>.<worker> --------------------------


class Found(Message, frozen=True):
    server: str
    attempt: int
    url: str = ""


class Hello(Message, frozen=True):
    """A worker has started: this is everything that its earlier self has left on *host*.

    Whatever the log says that it holds and that is not in *found* is lost. *options*: the plain values of
    its configuration, hashed (see `hubbub.config.Options.hashes`), which must equal the api's.
    """

    host: str
    found: tuple[Found, ...] = ()
    options: dict[str, str] = {}


class Welcome(Message, frozen=True):
    """An answer for each of `Hello.found`, in order. What belongs to them is on the worker's spool."""

    answers: tuple[Answer, ...] = ()
    refused: Refusal | None = None


class Holdings(Message, frozen=True):
    """Asks for the servers that this worker holds and owes something: every few seconds, against lost words. *held*:
    those that it thinks it holds, now and then. *counted*: since it last asked.
    """

    held: tuple[str, ...] = ()
    counted: Part | None = None


class Held(Message, frozen=True):
    """`lost`: those of *held* that it does not hold."""

    servers: dict[str, Server]
    lost: tuple[str, ...] = ()


# hub.holder.<worker> ----------------------------------------------------------------------


class Word(Message, frozen=True):
    """To the holder of a server, by `verb`: its state `changed`; send the end of its `log`; it has chosen a `port`.

    `follow`: send its log to *listener* from the cursor *since* on (else its last *lines*), until told to `unfollow` or
    not told so again for `FOLLOWED_FOR` seconds.
    """

    server: str
    attempt: int
    verb: str = "changed"
    lines: int = 200
    port: int = 0
    listener: str = ""
    since: str = ""


class LogTail(Message, frozen=True):
    text: str = ""
    error: str = ""


FOLLOWED_FOR = 15.0


class LogLines(Message, frozen=True):
    """On `hub.logs.<server>.<listener>`. `cursor`: where the next lines will be, in the words of whoever sends them."""

    lines: tuple[str, ...]
    cursor: str = ""


# hub.rpc.certify.<pool or proxy>.<name> -------------------------------------------------------


class SigningRequest(Message, frozen=True):
    """*part*: see `hubbub.internal_tls.parts`. *request*: PEM. *server*, *attempt*: of a server's."""

    part: str
    request: str
    server: str = ""
    attempt: int = 0


class Certify(Message, frozen=True):
    """Asks for certificates; the keys stay where they are."""

    requests: tuple[SigningRequest, ...]


class Signed(Message, frozen=True):
    """PEM. `trust`: the authorities whose certificates its owner is to take."""

    certificate: str
    trust: str


class Certified(Message, frozen=True):
    """In the order of the requests: all of them, or none."""

    signed: tuple[Signed, ...] = ()
    refused: Refusal | None = None


class Done(Message, frozen=True):
    refused: Refusal | None = None


READY_EVENT = "ready_event"


class Frame(Message, frozen=True):
    """One step of a start, on `hub.progress.<server>.<attempt>`; JSON as the client will see it."""

    event: dict[str, object]
