"""People who are made, and deleted, by others than a login: the authenticator is told, and may refuse them.

As in JupyterHub (`add_user`, `delete_user`); but it is asked first, so that nothing is made if it refuses anybody.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from uuid import uuid4

import structlog
from aiohttp import web

from hubbub.auth_messages import Greet
from hubbub.domain.user import CreateUser
from hubbub.transaction import Transaction
from hubbub.views import USERS
from hubbub.web.request import ApiError
from hubbub_api.forward import AUTHS
from hubbub_api.keys import VIEWS
from hubbub_api.rows import UserRow

log = structlog.get_logger()


async def create(tx: Transaction, names: Iterable[str], *, admin: bool) -> None:
    """New users. Whether the names are free is the caller's to know."""
    ids = {name: uuid4().hex for name in names}
    await tx.load([(USERS, id) for id in ids.values()])
    for name, id in ids.items():
        tx.welcome(id)
        await tx.act(USERS, id, CreateUser(user=id, name=name, admin=admin))


async def introduce(request: web.Request, names: Sequence[str], *, one: bool = False) -> None:
    """Tell the authenticator of those of *names* who are nobody's yet, in their order.

    Raises ApiError if it refuses one; those before are taken back. *one*: the request is about nobody else.
    """
    auths = request.app[AUTHS]
    if not auths.policy.greets:
        return
    there = await request.app[VIEWS].fetch("select name from users where name = any($1)", list(names))
    taken = {row["name"] for row in there}
    greeted: list[str] = []
    for name in (name for name in names if name not in taken):
        try:
            said = await auths.greet(Greet(name=name))
        except ApiError:
            await _take_back(request, greeted)
            raise
        if said.refused:
            await _take_back(request, greeted)
            raise _refusal(name, said.refused, invalid=said.invalid, one=one)
        greeted.append(name)


def _refusal(name: str, why: str, *, invalid: bool, one: bool) -> ApiError:
    if one:
        return ApiError(400, f"Failed to create user: {name}")
    return ApiError(400, f"Invalid username: {name}" if invalid else f"Failed to create user {name}: {why}")


async def _take_back(request: web.Request, names: Iterable[str]) -> None:
    for name in names:
        with suppress(ApiError):
            await request.app[AUTHS].greet(Greet(name=name, gone=True))


async def take_leave(request: web.Request, user: UserRow) -> None:
    """Tell the authenticator that *user* is about to be deleted. Raises ApiError if it cannot have that."""
    auths = request.app[AUTHS]
    if not auths.policy.greets:
        return
    said = await auths.greet(Greet(name=user.name, user=user.id, gone=True))
    if said.refused:
        log.error("user.not_deleted", user=user.id, why=said.refused)
        raise ApiError(500, "Internal Server Error")
