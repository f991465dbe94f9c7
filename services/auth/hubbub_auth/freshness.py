"""Whether what a login said of somebody still holds: its authenticator is asked again (`refresh_user`)."""

import asyncio
from weakref import WeakValueDictionary

import msgspec
import structlog
from aiohttp import web

from hubbub.auth_messages import Refresh, Refreshed
from hubbub_auth.admission import BadModel
from hubbub_auth.belongings import BadBelongings
from hubbub_auth.hosted import PATIENCE
from hubbub_auth.keys import ADMISSION, HOSTED, POOL
from hubbub_auth.questions import asked, told

log = structlog.get_logger()

_LOCKS: "web.AppKey[WeakValueDictionary[str, asyncio.Lock]]" = web.AppKey("refreshing", WeakValueDictionary)

#: Seconds after which it is looked at again what another auth was told.
SOON = 1.0
#: Seconds after which somebody is asked about again whom the authenticator failed to say anything of.
AGAIN = 30.0


async def answer(request: web.Request) -> web.Response:
    """POST {hub}/internal/refresh, of an api: a `Refreshed`."""
    question = await asked(request, Refresh)
    return told(await refresh(request.app, question.user, force=question.force))


def prepare(app: web.Application) -> None:
    app[_LOCKS] = WeakValueDictionary()


async def refresh(app: web.Application, user: str, *, force: bool = False) -> Refreshed:
    """Ask about *user* (an id), unless that was done lately: by whichever auth, for whichever api."""
    lock = app[_LOCKS].get(user)
    if lock is None:
        lock = app[_LOCKS][user] = asyncio.Lock()
    async with lock:  # who asks at the same time gets the same answer
        return await _refresh(app, user, force=force)


async def of_our_own(app: web.Application, user: str, *, force: bool = False) -> Refreshed:
    """For pages of this process: nothing is remembered between them, so that a login which another process has found
    wanting can be renewed here at once.
    """
    return msgspec.structs.replace(await refresh(app, user, force=force), seconds=0)


async def _refresh(app: web.Application, user: str, *, force: bool) -> Refreshed:
    policy = app[HOSTED].policy
    row = await app[POOL].fetchrow(_AGE, user)
    if row is None:
        return Refreshed(fresh=False)
    left = policy.refresh_age - row["age"] if row["age"] is not None else 0
    if not policy.refreshes or (not force and (not policy.refresh_age or left > 0)):
        return Refreshed(fresh=True, seconds=left or policy.refresh_age)
    if (claim := await app[POOL].fetchval(_CLAIM, user, PATIENCE)) is None and not force:
        # Another auth asks: two at once might use up the one refresh token that there is.
        return Refreshed(fresh=True, seconds=SOON)
    try:
        return await _ask(app, user, row["name"], force=force)
    finally:
        await app[POOL].execute(_RELEASE, user, claim)


async def _ask(app: web.Application, user: str, name: str, *, force: bool) -> Refreshed:
    policy, person = app[HOSTED].policy, await app[ADMISSION].person(name)
    try:
        said = await app[HOSTED].refresh(person)
        if isinstance(said, dict) or said:
            await app[ADMISSION].refreshed(person, said if isinstance(said, dict) else {})
    except (BadModel, BadBelongings) as error:
        log.error("auth.refresh_unusable", user=user, why=str(error))
        return Refreshed(fresh=False)
    except Exception:  # it may be the operator's own, or its provider is away
        log.exception("auth.refresh_failed", authenticator=repr(app[HOSTED]), user=user)
        return Refreshed(fresh=not (force or policy.refresh_strict), seconds=AGAIN)
    if not said:  # whoever asks next asks the authenticator, until they have logged in
        await app[POOL].execute("delete from vouched where user_id = $1", user)
    log.info("auth.refreshed", user=user, fresh=bool(said), changed=isinstance(said, dict))
    return Refreshed(fresh=bool(said), seconds=policy.refresh_age)


#: Whoever asks is vouched for until the answer comes; one that has died while it asked holds up nobody for long.
_CLAIM = """
    insert into vouched (user_id, at, asked_at) values ($1, 'epoch', now())
    on conflict (user_id) do update set asked_at = now()
    where vouched.asked_at is null or vouched.asked_at < now() - make_interval(secs => $2)
    returning asked_at
"""
#: One's own claim alone.
_RELEASE = "update vouched set asked_at = null where user_id = $1 and asked_at = $2"
_AGE = """
    select u.name, extract(epoch from now() - v.at)::float as age
    from users u left join vouched v on v.user_id = u.id where u.id = $1
"""
