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
    "names in one string": Difference(400, 201, "a string is no list of its letters"),
    "its own name": Difference("{user}", None, "nothing to change; JupyterHub sets the name to null"),
    "deleting a user whose named server runs": Difference(204, 500, "named servers are stopped like the default one"),
    "an unknown key of a server": Difference((400, ...), CRASH, "meant to be a 400 there, too"),
    "a group named before one that exists": Difference(404, 200, "a request that is refused has changed nothing"),
    "the end of a cancelled start": Difference(True, False, "a cancelled start has failed; JupyterHub calls it ready"),
    "an unknown scope of a share": Difference((400, ...), CRASH, "a wrong name is the client's error"),
    "a group's share in tokens": Difference(True, False, "what a member may do in the browser its tokens may, too"),
    "a token of a service that is too short": Difference((400, ...), CRASH, "a wrong value is the client's error"),
    "an unknown scope of a service": Difference((400, ...), CRASH, "a wrong name is the client's error"),
    "the route of a service that is gone": Difference(False, True, "JupyterHub leaves it until the next check"),
}
