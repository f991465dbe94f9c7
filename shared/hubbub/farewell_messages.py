"""What an api tells a worker on `hub.forget.<pool>` of a server that is no more."""

from typing import Any

from msgspec import field

from hubbub.rpc import Message, Person


class Gone(Message, frozen=True):
    """A server of *person* that was removed, or went with them: its spawner may have stored something for it.

    `options`, `state`: the last ones. `groups`: properties, by name.
    """

    server: str
    person: Person
    name: str
    options: dict[str, Any] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict)
    groups: dict[str, dict[str, Any]] = field(default_factory=dict)
    auth_state: dict[str, Any] | None = None


class Forget(Message, frozen=True):
    """`sealed`: a Gone, as JSON under the bus key. Answered with Done at once: nobody waits for what comes of it."""

    sealed: str
