"""In which pool of workers a server starts, with which profile, and who is asking for it."""

from typing import Any

from aiohttp import web

from hubbub.access import Identity
from hubbub.pools import profile_in
from hubbub.web.request import GATE
from hubbub_api.keys import VIEWS
from hubbub_api.rows import ServerRow, UserRow

#: Anybody may say anything in their options; the log keeps what looks like a profile's name.
LONGEST_PROFILE = 100


async def pool_for(
    request: web.Request, owner: UserRow, server: ServerRow | None, user_options: dict[str, Any] | None
) -> str:
    """By `c.Hubbub.pools`. *user_options* null: those of the last start of *server*, if there was one."""
    options = request.app[GATE].options
    if len(options.pools) == 1:
        return options.ours.pool
    if user_options is None and server is not None:
        user_options = (await request.app[VIEWS].options([server])).get(server.id)
    return options.pool_of(owner.name, owner.groups, user_options)


async def profile_for(request: web.Request, server: ServerRow | None, user_options: dict[str, Any] | None) -> str:
    """The one that its options name, "" if they name none. *user_options* null: as for `pool_for`."""
    if user_options is None and server is not None:
        if server.attempt:
            return server.state.profile
        user_options = (await request.app[VIEWS].options([server])).get(server.id)
    said = profile_in(user_options)
    return said if len(said) <= LONGEST_PROFILE and said.isprintable() else ""


def asker_of(identity: Identity) -> str:
    """Whose turn it is that a start waits for: by id, since names change."""
    return identity.id if identity.kind == "user" else identity.actor
