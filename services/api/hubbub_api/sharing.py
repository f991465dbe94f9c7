"""Which server is to be shared, and with which scopes: what shares and share codes have in common."""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import uuid4

from aiohttp import web

from hubbub.access import Identity
from hubbub.domain.message import NotFound
from hubbub.domain.names import full_name
from hubbub.transaction import Transaction
from hubbub.views import SERVERS
from hubbub.web.request import GATE, ApiError
from hubbub_api import servers
from hubbub_api.keys import VIEWS
from hubbub_api.rows import UserRow

#: The end of an address: of a server, whose name may be empty.
OF_SERVER = "/{owner}/{server:[^/]*}"
#: What a share is for, unless more is asked for.
DEFAULT_SCOPES = ("access:servers",)


@dataclass(frozen=True, kw_only=True)
class Place:
    """A server. Of a default server that was never started nothing is known but its `owner`; its `id` is nobody's."""

    id: str
    full_name: str
    owner: UserRow | None = None

    async def settle(self, tx: Transaction, request: web.Request) -> str:
        """The server's id, to share it. One that nothing is known of is known from now on, as JupyterHub does it.

        404 if there is no such server any more.
        """
        if self.owner is not None:
            return await servers.default_of(tx, request, self.owner)
        if await tx.state(SERVERS, self.id) == SERVERS.decider.initial:
            raise NotFound(f"No such server: {self.full_name}")
        return self.id


def target(request: web.Request) -> tuple[str, str]:
    return request.match_info["owner"], request.match_info["server"]


async def find_place(request: web.Request, owner: str, name: str) -> Place:
    """404 if there is no such server; everybody has a default one."""
    views = request.app[VIEWS]
    server = await views.server(owner, name)
    if server is not None:
        return Place(id=server.id, full_name=full_name(owner, name))
    user = await views.user(owner) if not name else None
    if user is None:
        raise ApiError(404, f"No such server: {full_name(owner, name)}")
    return Place(id=uuid4().hex, full_name=full_name(owner, name), owner=user)


def names_of(
    request: web.Request, scopes: Collection[str] | None, owner: str, name: str, *, foreign_too: bool = False
) -> tuple[str, ...]:
    """*scopes* without their filter, which is that of the server or missing; each once, sorted.

    400 for one that there is not, and for another filter; with *foreign_too* that one is left out instead.
    """
    tree, own = request.app[GATE].access.roles.tree, f"server={full_name(owner, name)}"
    found = set()
    for scope in scopes or ():
        base, mark, filter = scope.partition("!")
        if not tree.known(scope):
            raise ApiError(400, f"No such scope: {scope[:50]!r}")
        if not mark or filter == own:
            found.add(base)
        elif not foreign_too:
            raise ApiError(400, f"!{filter} not allowed on sharing {scope}, only !{own}"[:300])
    return tuple(sorted(found))


def check_held(identity: Identity, scopes: Collection[str], owner: str, name: str) -> None:
    """403 unless *identity* may do itself all that it wants to let others do on the server."""
    for scope in scopes:
        if not identity.may(scope, user=owner, server=name):
            wanted = f"{scope}!server={full_name(owner, name)}"
            raise ApiError(403, f"Do not have permission to grant share with scope {wanted}")
