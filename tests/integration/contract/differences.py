"""Where Hubbub answers other than JupyterHub 6.1.1 on purpose: the only such places, each with its reason."""

from typing import Any, NamedTuple


class Difference(NamedTuple):
    ours: Any
    theirs: Any
    reason: str


CRASH = (500, "Internal Server Error")  # what JupyterHub makes of an error that nobody expected

DIFFERENCES: dict[str, Difference] = {
    "a user's name that is a number": Difference((400, ...), CRASH, "a wrong type is the client's error"),
    "groups of a user by PATCH": Difference((400, ...), CRASH, "names are no groups; they are changed at the group"),
    "roles of a user by PATCH": Difference((400, ...), CRASH, "names are no roles; no API changes roles"),
    "name in the address": Difference("up {}", "Up {}", "one person, one name: made small wherever it comes from"),
    "names in one string": Difference(400, 201, "a string is no list of its letters"),
    "its own name": Difference(200, 200, "nothing to change; JupyterHub sets the name to null"),
    "deleting a user whose named server runs": Difference(204, 500, "named servers are stopped like the default one"),
}
