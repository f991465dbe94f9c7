"""Tells the authenticator of people who are made, or deleted, by others than itself (`add_user`, `delete_user`), and,
as JupyterHub does when it starts, of everybody there is.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import asyncpg
import structlog
from aiohttp import web

from hubbub.auth_messages import Greet, Greeted
from hubbub.away import AWAY
from hubbub.web.request import GATE
from hubbub_auth.keys import ADMISSION, HOSTED, POOL
from hubbub_auth.person import Person, url_of
from hubbub_auth.questions import asked, told

log = structlog.get_logger()

INVALID = "Invalid username"

#: People who are looked up at a time, to be greeted one after the other.
AT_ONCE = 200
#: Seconds until the database is asked again after it was away.
PAUSE = 1.0


async def answer(request: web.Request) -> web.Response:
    """POST {hub}/internal/users, of an api: a `Greeted`."""
    question = await asked(request, Greet)
    person = await request.app[ADMISSION].person(question.name)
    return told(await (leave if question.gone else greet)(request.app, person))


async def greet(app: web.Application, person: Person) -> Greeted:
    """Whether the authenticator will have *person*, who is made known to it if so."""
    hosted = app[HOSTED]
    try:
        if not await hosted.accepts(person.name):
            return Greeted(refused=INVALID, invalid=True)
        await hosted.add(person)
    except Exception as error:  # it may be the operator's own
        log.warning("auth.not_greeted", authenticator=repr(hosted), user=person.user, exc_info=True)
        return Greeted(refused=str(error) or type(error).__name__)
    return Greeted()


async def leave(app: web.Application, person: Person) -> Greeted:
    """Whether the authenticator lets *person* go."""
    hosted = app[HOSTED]
    try:
        await hosted.remove(person)
    except Exception as error:  # it may be the operator's own
        log.warning("auth.not_let_go", authenticator=repr(hosted), user=person.user, exc_info=True)
        return Greeted(refused=str(error) or type(error).__name__)
    return Greeted()


# At the start ---------------------------------------------------------------------------


async def everybody(app: web.Application) -> AsyncIterator[None]:
    """Greets all who are known, beside what else is done. For `Application.cleanup_ctx`."""
    policy = app[HOSTED].policy
    if not policy.greets and not policy.delete_invalid_users:
        yield
        return
    task = asyncio.create_task(_greet_everybody(app))
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def _greet_everybody(app: web.Application) -> None:
    seen = refused = 0
    while True:
        try:
            people = await _people(app, seen)
            for person in people:
                refused += await _greet_known(app, person)
                seen = person.id
        except (asyncpg.PostgresError, *AWAY) as error:
            log.warning("auth.greeting_interrupted", error=str(error) or type(error).__name__)
            await asyncio.sleep(PAUSE)
            continue
        if len(people) < AT_ONCE:
            log.info("auth.everybody_greeted", refused=refused)
            return


async def _people(app: web.Application, after: int) -> list[Person]:
    """The next ones after that number, the oldest first."""
    rows = await app[POOL].fetch(_NEXT, after, AT_ONCE)
    return [
        Person(
            name=row["name"],
            user=row["id"],
            number=row["number"],
            admin=row["admin"],
            groups=tuple(row["groups"]),
            url=url_of(app[GATE].options, row["name"]),
            states=app[ADMISSION],
        )
        for row in rows
    ]


async def _greet_known(app: web.Application, person: Person) -> bool:
    """Whether somebody who is in the hub is refused; then, if that is wished for, an api is told to delete them."""
    hosted = app[HOSTED]
    if person.name in (hosted.wants("blocked_users") or ()):
        return False
    greeted = await greet(app, person)
    if not greeted.refused:
        return False
    if hosted.policy.delete_invalid_users:
        log.warning("auth.user_invalid", user=person.user, why=greeted.refused)
        await app[POOL].execute("insert into refused (user_id) values ($1) on conflict do nothing", person.user)
        await app[POOL].execute("notify refused")
    else:
        log.warning("auth.user_invalid", user=person.user, hint="c.Authenticator.delete_invalid_users deletes such")
    return True


_NEXT = """
    select u.id, u.number, u.name, u.admin, array(
        select g.name from members m join groups g on g.id = m.group_id where m.user_id = u.id order by g.number
    ) as groups from users u where u.number > $1 order by u.number limit $2
"""
