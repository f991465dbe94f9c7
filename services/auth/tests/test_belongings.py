"""Groups and roles that logins bring."""

from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hubbub.access import Access
from hubbub.config import ConfigError, Options
from hubbub_auth.authenticators import Authenticator
from hubbub_auth.keys import ADMISSION
from hubbub_auth.testing import Browser, House, with_

READER = {"name": "reader", "scopes": ["read:users"], "description": "May read"}


class Managing(Authenticator):
    """Logs in whoever asks, with what `said` has for them."""

    said: ClassVar[dict[str, Any]] = {}
    declared: ClassVar[list[dict[str, Any]]] = []

    async def authenticate(self, handler: Any, data: dict[str, str]) -> dict[str, Any]:
        return {"name": data["username"], **self.said}

    async def load_managed_roles(self) -> list[dict[str, Any]]:
        return self.declared


@pytest.fixture(autouse=True)
def nothing_said() -> None:
    Managing.said, Managing.declared = {}, []


def config(*, hub: dict[str, Any] | None = None, **more: Any) -> dict[str, dict[str, Any]]:
    options = {"allow_all": True, "manage_groups": True, "manage_roles": True, **more}
    return with_({"authenticator_class": Managing, **(hub or {})}, Authenticator=options)


@pytest.fixture
async def browser(house: House) -> Browser:
    return await house.browser(config=config())


async def login(browser: Browser, name: str = "ada", **said: Any) -> int:
    Managing.said = said
    await browser.get("/hub/logout")
    return (await browser.log_in(name)).status


async def groups_of(house: House, name: str = "ada") -> list[str]:
    rows = await (await house.pool()).fetch(
        "select g.name from members m join groups g on g.id = m.group_id join users u on u.id = m.user_id "
        "where u.name = $1 order by g.name",
        name,
    )
    return [row["name"] for row in rows]


async def identity(house: House, name: str = "ada") -> Any:
    from traitlets.config import Config

    return await Access(await house.pool(), Options(Config(config()))).user(name)


async def events(house: House) -> list[str]:
    kinds = "^(Member|Group|Role)"
    rows = await (await house.pool()).fetch("select type from events where type ~ $1 order by position", kinds)
    return [row["type"] for row in rows]


async def test_groups_are_exactly_those_of_the_last_login(house: House, browser: Browser):
    for groups in (["tea", "chess"], ["chess"], [], ["go"]):
        assert await login(browser, groups=groups, roles=None) == 302
        assert await groups_of(house) == sorted(groups)
    before = await events(house)
    for said in (["go"], None):  # nothing new; nothing said
        assert await login(browser, groups=said, roles=None) == 302
    assert (await groups_of(house), await events(house)) == (["go"], before)


async def test_a_login_that_says_nothing_of_groups_is_told_why(house: House, browser: Browser):
    assert await login(browser) == 500
    page = await browser.log_in("ada")
    assert "manage_groups" in page.text
    assert await (await house.pool()).fetchval("select count(*) from users") == 0


@pytest.mark.parametrize(
    "said",
    [
        {"groups": "tea"},
        {"groups": [1]},
        {"groups": [""]},
        {"groups": ["x" * 300]},
        {"groups": [], "roles": "reader"},
        {"groups": [], "roles": ["reader"]},
        {"groups": [], "roles": [{"scopes": []}]},
        {"groups": [], "roles": [{"name": "NO"}]},
        {"groups": [], "roles": [{"name": "reader", "scopes": ["read:nonsense"]}]},
        {"groups": [], "roles": [{"name": "admin", "scopes": ["self"]}]},
    ],
)
async def test_what_cannot_be_is_refused_and_changes_nothing(house: House, browser: Browser, said: dict[str, Any]):
    assert await login(browser, **said) == 500
    assert await (await house.pool()).fetchval("select count(*) from events where type <> 'SessionClosed'") == 0


async def test_a_role_that_a_login_defines_counts_at_the_next_request(house: House, browser: Browser):
    await login(browser, groups=[], roles=[READER])
    found = await identity(house)
    assert found.roles == ("user", "reader")
    assert found.may("read:users", user="bob")
    await login(browser, groups=[], roles=[{**READER, "scopes": ["read:groups"]}])
    found = await identity(house)
    assert (found.may("read:users", user="bob"), found.may("read:groups", group="x")) == (False, True)


async def test_a_role_that_nobody_holds_any_more_is_gone(house: House, browser: Browser):
    await login(browser, "ada", groups=[], roles=[READER])
    await login(browser, "bob", groups=[], roles=[READER])
    await login(browser, "ada", groups=[], roles=[])
    assert (await identity(house)).roles == ("user",)
    assert await (await house.pool()).fetchval("select count(*) from roles") == 1
    await login(browser, "bob", groups=[], roles=[])
    assert await (await house.pool()).fetchval("select count(*) from roles") == 0


async def test_nothing_is_written_for_roles_that_are_as_they_were(house: House, browser: Browser):
    await login(browser, groups=[], roles=[READER])
    before = await events(house)
    await login(browser, groups=[], roles=[READER])
    await login(browser, groups=[], roles=None)
    assert await events(house) == before == ["RoleDefined", "RoleGranted"]


async def test_the_administrators_role_is_whether_one_is_an_administrator(house: House, browser: Browser):
    for roles, is_admin in (([{"name": "admin"}], True), ([], False)):
        await login(browser, groups=[], roles=roles)
        assert (await identity(house)).admin is is_admin


async def test_what_the_configuration_says_of_a_role_stays(house: House):
    hub = {"load_roles": [{"name": "reader", "scopes": ["read:groups"]}]}
    browser = await house.browser(config=config(hub=hub))
    await login(browser, groups=[], roles=[READER])
    assert await events(house) == ["RoleGranted"]


async def test_others_may_be_named_with_a_role(house: House, browser: Browser):
    await login(browser, "bob", groups=["tea"], roles=[])
    await login(browser, "eve", groups=["tea"], roles=[])
    await login(browser, "ada", groups=[], roles=[{**READER, "users": ["bob", "nobody"], "groups": ["tea"]}])
    held = {name: "reader" in (await identity(house, name)).roles for name in ("ada", "bob", "eve")}
    assert held == {"ada": True, "bob": True, "eve": False}
    assert (await identity(house, "eve")).may("read:users", user="x")  # by the group


async def test_roles_are_foreseen_when_the_hub_starts(house: House):
    Managing.declared = [READER]
    for _ in range(2):  # two auths, or two starts
        await (await house.auth(config())).app[ADMISSION].settle_roles()
    assert await events(house) == ["RoleDefined"]
    browser = await house.browser(config=config())
    await login(browser, groups=[], roles=[{"name": "reader"}])
    await login(browser, groups=[], roles=[])
    assert await (await house.pool()).fetchval("select count(*) from roles") == 1


async def test_a_reset_takes_away_what_was_not_foreseen(house: House, browser: Browser):
    await login(browser, groups=[], roles=[READER, {"name": "writer", "scopes": ["users"]}])
    Managing.declared = [READER]
    auth = await house.auth(config(reset_managed_roles_on_startup=True))
    await auth.app[ADMISSION].settle_roles()
    assert (await identity(house)).roles == ("user", "reader")


@pytest.mark.parametrize(
    ("hub", "declared"),
    [
        ({"load_roles": [{"name": "reader", "scopes": [], "users": ["ada"]}]}, []),
        ({}, [{"name": "reader", "scopes": ["nonsense"]}]),
        ({}, None),
    ],
)
async def test_roles_that_cannot_be_managed_end_the_start(house: House, hub: dict[str, Any], declared: Any):
    Managing.declared = declared
    auth = await house.auth(config(hub=hub))
    with pytest.raises(ConfigError):
        await auth.app[ADMISSION].settle_roles()


NAMES = st.lists(st.sampled_from(["tea", "chess", "golf"]), unique=True)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(logins=st.lists(st.tuples(st.sampled_from(["ada", "bob"]), NAMES, NAMES), min_size=1, max_size=5))
async def test_whatever_came_before_the_last_login_counts(house: House, browser: Browser, logins: list[Any]):
    last = {}
    for name, groups, roles in logins:
        assert await login(browser, name, groups=groups, roles=[{"name": role, "scopes": []} for role in roles]) == 302
        last[name] = (groups, roles)
    for name, (groups, roles) in last.items():
        found = await identity(house, name)
        assert (sorted(found.groups), sorted(found.roles)) == (sorted(groups), sorted(["user", *roles]))
    assert await house.problems() == []
