"""What the configuration settles at start: administrators, roles and groups; once, whoever starts, however often."""

import asyncio
from typing import Any

import asyncpg
import pytest
from cryptography.fernet import Fernet
from traitlets.config import Config

from hubbub.config import Options
from hubbub.domain.grant import GrantRole, grant_id
from hubbub.domain.user import SetAdmin
from hubbub.eventlog import Context
from hubbub.handle import Committer
from hubbub.service import end
from hubbub.testing.postgres import Database
from hubbub.vault import Vault
from hubbub.verify import verify
from hubbub.views import GRANTS, USERS
from hubbub_api.startup import settle_configuration

KEY = Fernet.generate_key().decode()
BY_TEST = Context.of("test")


class Hub:
    """A database and as many apis as are started on it, one after the other or at once."""

    def __init__(self, database: Database, pool: "asyncpg.Pool[Any]", committers: list[Committer]) -> None:
        self.database = database
        self.pool = pool
        self._committers = committers

    async def starts(self, *, times: int = 1, admins: Any = (), allowed: Any = (), **hub: Any) -> None:
        people = {"admin_users": set(admins), "allowed_users": set(allowed)}
        options = Options(Config({"JupyterHub": hub, "Authenticator": people}))
        starting = self._committers[:times]
        await asyncio.gather(*(settle_configuration(self.pool, committer, options) for committer in starting))

    async def act(self, view: Any, id: str, command: Any) -> None:
        await self._committers[0].execute(view, id, command, BY_TEST.follow())

    async def column(self, query: str, *args: Any) -> list[Any]:
        return [row[0] for row in await self.pool.fetch(query, *args)]

    async def id_of(self, user: str) -> str:
        [id] = await self.column("select id from users where name = $1", user)
        return str(id)

    async def users(self) -> list[str]:
        return await self.column("select name from users order by name")

    async def admins(self) -> list[str]:
        return await self.column("select name from users where admin order by name")

    async def holders(self, role: str) -> list[str]:
        """`ada`, `@class`."""
        return await self.column(
            "select coalesce(u.name, '@' || g.name) from grants r left join users u on u.id = r.holder and"
            " r.kind = 'user' left join groups g on g.id = r.holder and r.kind = 'group' where r.role = $1 order by 1",
            role,
        )

    async def groups(self) -> dict[str, list[str]]:
        rows = await self.pool.fetch(
            "select g.name, array(select u.name from members m join users u on u.id = m.user_id"
            " where m.group_id = g.id order by 1) as users from groups g"
        )
        return {row["name"]: row["users"] for row in rows}


@pytest.fixture
async def hub(database: Database):
    committers = [Committer(database.api_dsn, Vault(KEY)) for _ in range(4)]
    running = [asyncio.create_task(committer.run()) for committer in committers]
    async with asyncpg.create_pool(database.api_dsn, min_size=1, max_size=8) as pool:
        yield Hub(database, pool, committers)
        assert await verify(database.api_dsn, KEY) == []
    await end(*running)


def role(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "scopes": ["read:hub"], **more}


async def test_whoever_is_named_is_made(hub):
    await hub.starts(
        admins={"Root"},
        api_tokens={"token-of-a-user": "Tom"},
        load_roles=[role("teacher", users=["Ada", "bob"], groups=["class"]), {"name": "user", "users": ["eve"]}],
        load_groups={"class": ["bob"], "staff": {"users": ["joe"], "properties": {"a": 1}}, "empty": []},
    )
    assert await hub.users() == ["ada", "bob", "eve", "joe", "root", "tom"]
    assert await hub.admins() == ["root"]
    assert await hub.holders("teacher") == ["@class", "ada", "bob"]
    assert await hub.holders("user") == []  # everybody's
    assert await hub.groups() == {"class": ["bob"], "staff": ["joe"], "empty": []}


async def test_four_that_start_at_once_settle_it_once(hub):
    options = {
        "admins": {"root"},
        "load_roles": [role("teacher", users=["ada"], groups=["class"])],
        "load_groups": {"class": ["ada", "bob"]},
    }
    await hub.starts(times=4, **options)
    assert await hub.users() == ["ada", "bob", "root"]
    kinds = await hub.column("select type || ' ' || count(*) from events group by type order by type")
    assert kinds == ["GroupCreated 1", "MemberAdded 2", "RoleGranted 2", "UserCreated 3"]
    changed = {**options, "load_roles": [role("teacher", users=["bob"])]}
    await hub.starts(times=4, **changed)
    assert await hub.holders("teacher") == ["bob"]
    assert await hub.column("select count(*) from events where type in ('RoleGranted', 'RoleWithdrawn')") == [5]


class Counted:
    """A pool that remembers what it was asked."""

    def __init__(self, pool: "asyncpg.Pool[Any]") -> None:
        self._pool = pool
        self.asked: list[str] = []

    async def fetch(self, query: str, *args: Any) -> list[Any]:
        self.asked.append(query)
        return await self._pool.fetch(query, *args)


async def test_a_start_that_changes_nothing_is_one_query_and_no_lock(hub, monkeypatch):
    options = {"load_roles": [role("teacher", users=["ada"])], "load_groups": {"class": ["ada"]}}
    await hub.starts(**options)
    hub.pool = Counted(hub.pool)
    monkeypatch.setattr(Committer, "submit", None)
    await hub.starts(**options)
    assert len(hub.pool.asked) == 1


async def test_what_people_changed_stays_until_the_operator_changes_that_section(hub):
    options: dict[str, Any] = {"admins": {"root"}, "load_roles": [role("teacher", groups=["class"])]}
    options["load_groups"] = {"class": ["ada", "bob"]}
    await hub.starts(**options)
    await hub.act(USERS, await hub.id_of("root"), SetAdmin(admin=False))
    await hub.starts(**options)
    await hub.starts(**{**options, "load_groups": {"class": ["eve"]}})
    assert await hub.admins() == []  # that was another section
    await hub.starts(**{**options, "admins": {"root", "eve"}})
    assert await hub.admins() == ["eve", "root"]


async def test_who_is_no_longer_listed_loses_the_role_and_who_is_left_out_too(hub):
    await hub.starts(load_roles=[role("teacher", users=["ada", "bob"], groups=["class", "staff"])])
    await hub.starts(load_roles=[role("teacher", users=["bob", "eve"], groups=["staff"])])
    assert await hub.holders("teacher") == ["@staff", "bob", "eve"]
    await hub.starts(load_roles=[role("teacher", users=["bob", "eve"])])
    assert await hub.holders("teacher") == ["bob", "eve"]
    await hub.starts(load_roles=[role("teacher", groups=["class"])])
    assert await hub.holders("teacher") == ["@class"]
    await hub.starts(load_roles=[role("teacher")])
    assert await hub.holders("teacher") == []
    assert await hub.users() == ["ada", "bob", "eve"]
    assert sorted(await hub.groups()) == ["class", "staff"]


async def test_a_role_that_the_configuration_no_longer_has_is_nobodys(hub):
    await hub.starts(load_roles=[role("teacher", users=["ada"], groups=["class"]), role("cook", users=["ada"])])
    ada = await hub.id_of("ada")
    for name in ("cook", "token"):  # one that is no more, and one that there always is
        grant = GrantRole(role=name, kind="user", holder=ada, source="login")
        await hub.act(GRANTS, grant_id(name, "user", ada), grant)
    await hub.starts(load_roles=[role("teacher", users=["ada"])])
    assert await hub.holders("teacher") == ["ada"]
    assert await hub.holders("cook") == []
    assert await hub.holders("token") == ["ada"]
    await hub.starts()
    assert await hub.holders("teacher") == []
    assert await hub.holders("token") == ["ada"]


async def test_a_built_in_role_is_lost_by_whom_the_configuration_gave_it(hub):
    await hub.starts(load_roles=[{"name": "admin", "groups": ["staff"]}, {"name": "server", "users": ["ada"]}])
    assert (await hub.holders("admin"), await hub.holders("server")) == (["@staff"], ["ada"])
    await hub.starts()
    assert (await hub.holders("admin"), await hub.holders("server")) == ([], [])


ADMINS = [
    ({"admins": {"root", "ada"}}, {"admins": {"root"}}, ["ada", "root"]),
    ({"admins": {"root"}}, {}, ["root"]),
    ({"load_roles": [{"name": "admin", "users": ["ada"]}]}, {}, ["ada"]),
    ({"admins": {"ada"}}, {"load_roles": [{"name": "admin", "users": ["root"]}]}, ["root"]),
    ({"admins": {"ada"}}, {"load_roles": [{"name": "admin", "users": []}]}, []),
    ({"admins": {"ada"}}, {"load_roles": [{"name": "admin", "groups": ["staff"]}]}, ["ada"]),
    ({"admins": {"ada"}}, {"admins": {"eve"}, "load_roles": [{"name": "admin", "users": ["root"]}]}, ["eve", "root"]),
    ({"admins": {"ada"}}, {"admins": {"eve"}, "load_roles": [{"name": "admin"}]}, ["eve"]),
]


@pytest.mark.parametrize(("first", "then", "admins"), ADMINS)
async def test_administrators_are_added_unless_the_role_lists_them_all(hub, first, then, admins):
    await hub.starts(**first)
    await hub.starts(**then)
    assert await hub.admins() == admins
    assert await hub.column("select count(*) from grants where role = 'admin' and kind = 'user'") == [0]


async def test_groups_are_added_to_and_keep_what_the_configuration_does_not_say(hub):
    await hub.starts(load_groups={"class": {"users": ["ada"], "properties": {"year": 1}}, "old": ["ada"]})
    await hub.starts(load_groups={"class": {"users": ["bob"]}})
    assert await hub.groups() == {"class": ["ada", "bob"], "old": ["ada"]}
    state = "select state::json -> 'properties' ->> 'year' from groups where name = 'class'"
    assert await hub.column(state) == ["1"]
    await hub.starts(load_groups={"class": {"properties": {"year": 2}}})
    assert await hub.column(state) == ["2"]


async def test_names_of_people_are_in_no_event_in_the_clear(hub):
    await hub.starts(
        admins={"root-abcdef"}, load_roles=[role("teacher", users=["ada-abcdef"])], load_groups={"g": ["bob-abcdef"]}
    )
    assert await hub.column("select count(*) from events where data || meta like '%-abcdef%'") == [0]


async def test_thousands_are_settled_in_a_few_statements(hub, monkeypatch):
    names = [f"user-{n}" for n in range(2000)]
    asked = []
    fetch = asyncpg.Connection.fetch
    monkeypatch.setattr(
        asyncpg.Connection, "fetch", lambda *args, **more: asked.append(args[1]) or fetch(*args, **more)
    )
    await hub.starts(load_roles=[role("teacher", users=names)], load_groups={"class": names})
    assert 5 < len(asked) < 20
    assert len(await hub.holders("teacher")) == len((await hub.groups())["class"]) == 2000


async def test_whoever_may_log_in_by_name_is_a_user_before_they_do(hub: Hub) -> None:
    await hub.starts(allowed={"Ada", "bob"}, admins={"root"}, times=2)
    assert (await hub.users(), await hub.admins()) == (["ada", "bob", "root"], ["root"])
