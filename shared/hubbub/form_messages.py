"""What an api and a worker say about options forms on `hub.form.<pool>`, and what a start knows of its browser."""

from typing import Any, Literal

from msgspec import field

from hubbub.rpc import Message, Person


class WebRequest(Message, frozen=True):
    """What *user*'s browser asked for, as a spawner's `handler` shows it: without cookies, credentials and XSRF tokens.

    `query` is as it was sent; `body` are the fields of a form.
    """

    user: Person
    method: str
    path: str
    host: str
    protocol: str
    remote_ip: str
    query: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: dict[str, list[str]] = field(default_factory=dict)


class File(Message, frozen=True):
    """One that came with a form."""

    filename: str
    content_type: str
    body: bytes


class FormAsked(Message, frozen=True):
    """About a server of *person* that is to start: its options form (kind `form`), or the options that the fields and
    files of one (`posted`), or the arguments of an address (`query`), come to.

    `groups`: properties, by name. `options`: those of the last start. `request.body` is left out: it is in `fields`.
    """

    kind: Literal["form", "posted", "query"]
    person: Person
    name: str
    request: WebRequest
    groups: dict[str, dict[str, Any]] = field(default_factory=dict)
    fields: dict[str, list[str]] = field(default_factory=dict)
    files: dict[str, list[File]] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    auth_state: dict[str, Any] | None = None


class FormRefusal(Message, frozen=True):
    """In the words of the operator's code. `html`, if not empty, says the same more beautifully."""

    status: int
    message: str
    html: str = ""
    headers: dict[str, str] = field(default_factory=dict)


class FormAnswered(Message, frozen=True):
    """`html`: the form, empty if there is none; told when asked for, and with a refusal of what came of it.

    `lasting`: everybody gets the same one. `options` null: those of the last start.
    """

    html: str = ""
    lasting: bool = False
    options: dict[str, Any] | None = None
    refused: FormRefusal | None = None


class FormAsk(Message, frozen=True):
    """`sealed`: a FormAsked, `FormAnswer.sealed`: a FormAnswered, each as JSON under the bus key: people typed it.

    Answered at once with Done, and on `inbox` when the operator's code has come to an end.
    """

    sealed: str
    inbox: str


class FormAnswer(Message, frozen=True):
    sealed: str
