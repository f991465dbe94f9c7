"""The admin room's pages of people: everybody sees, and is offered, what their scopes let them."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from hubbub.domain.server_messages import (
    ClaimAttempt,
    Failure,
    ReportExit,
    ReportFailed,
    ReportResponded,
    ReportStarted,
    StartServer,
)

LATER = datetime.now(UTC) + timedelta(hours=1)
CLAIM = ClaimAttempt(attempt=1, worker="w", host="h", token="t", deadline=LATER)
STARTED = ReportStarted(attempt=1, worker="w", url="http://127.0.0.1:1", deadline=LATER)
RESPONDED = ReportResponded(attempt=1, worker="w", deadline=LATER, version="6.1.1")
BROKEN = Failure(reason="exit", message="it ended <at once>")
FAILED = ReportFailed(attempt=1, worker="w", failure=BROKEN, deadline=LATER)
GONE = ReportExit(attempt=1, worker="w", status="1", deadline=LATER)

DEPUTY = [
    "admin-ui",
    *[f"{base}!group=class" for base in ("list:users", "read:users", "read:servers", "start:servers", "read:groups")],
    "list:groups!group=class",
]
ROLES = [
    {"name": "deputy", "description": "Looks after the class", "scopes": DEPUTY, "users": ["dora"]},
    {"name": "onlooker", "scopes": ["admin-ui", "list:users", "read:roles:users!user=ada"], "users": ["otto"]},
    {"name": "stopper", "scopes": ["delete:servers!group=class", "read:servers"], "groups": ["class"]},
    {"name": "robots", "scopes": ["list:users"], "services": ["robot"]},
]
HUB = {
    "allow_named_servers": True,
    "load_roles": ROLES,
    "load_groups": {"class": {"users": ["ada"], "properties": {"year": 1}}, "other": ["bob"]},
    "services": [{"name": "robot", "api_token": "robots-token"}, {"name": "board", "url": "http://127.0.0.1:9"}],
}
configured = pytest.mark.parametrize("options", [HUB], indirect=True)


def start(prefix: str) -> StartServer:
    return StartServer(at=datetime.now(UTC), pool="default", prefix=prefix, deadline=LATER)


@pytest.fixture
async def school(house):
    """root, an administrator; ada and bob, whose servers run; cy, whose did not start; dora and otto with roles."""
    for name in ("ada", "bob", "cy", "dora", "otto"):
        await house.person(name)
    await house.person("root", admin=True)
    await house.settle(**HUB)
    await house.route(await house.server("ada", "", start("/user/ada/"), CLAIM, STARTED, RESPONDED))
    await house.server("ada", "old")
    await house.server("bob", "lab", start("/user/bob/lab/"), display_name="<b>Lab</b>")
    await house.server("cy", "", start("/user/cy/"), CLAIM, FAILED, GONE)
    return house


async def text(house, path: str, who: str = "root", status: int = 200) -> str:
    answer = await house.ask(f"/hub/admin{path}", who)
    page = await answer.text()
    assert answer.status == status, page
    return page


def people_on(page: str) -> list[str]:
    return re.findall(r'name="pick" value="([^"]*)"', page)


def offers(page: str) -> set[tuple[str, str]]:
    """What the page's buttons would ask of the API."""
    return set(re.findall(r'data-send="([A-Z]+)" data-path="([^"]*)"', page))


@configured
async def test_the_table_shows_everybody_with_what_can_be_done(school):
    page = await text(school, "/users")
    assert people_on(page) == ["ada", "bob", "cy", "dora", "otto", "root"]
    assert {("DELETE", "users/ada/server"), ("DELETE", "users/bob/servers/lab"), ("POST", "users/cy/server")} <= offers(
        page
    )
    assert ("DELETE", "users/ada") in offers(page)
    assert ("DELETE", "users/root") not in offers(page)  # nobody deletes themselves
    assert "&lt;b&gt;Lab&lt;/b&gt;" in page
    assert "<b>" not in page
    assert "it ended &lt;at once&gt;" in page
    assert 'href="/hub/activity/cy/newest"' in page
    assert "1 stopped named server" in page
    assert "users/ada/servers/old" not in page
    assert ("POST", "users/ada/servers/old") in offers(await text(school, "/users?stopped=1"))


@configured
async def test_the_table_is_searched_filtered_and_ordered_by_its_address(school):
    assert people_on(await text(school, "/users?search=O")) == ["bob", "dora", "otto", "root"]
    assert people_on(await text(school, "/users?state=active")) == ["ada", "bob"]
    assert people_on(await text(school, "/users?state=failed")) == ["cy"]
    assert people_on(await text(school, "/users?sort=-name&search=o")) == ["root", "otto", "dora", "bob"]
    assert "Nobody like that" in await text(school, "/users?search=%25")
    for query in ("state=x", "sort=x", "after=x"):
        assert "400" in await text(school, f"/users?{query}", status=400)


@configured
async def test_whoever_may_list_some_sees_and_is_offered_no_more(school):
    page = await text(school, "/users", "dora")
    assert people_on(page) == ["ada"]
    assert offers(page) == set()  # what runs may not be stopped
    assert offers(await text(school, "/users?stopped=1", "dora")) == {("POST", "users/ada/servers/old")}
    for missing in ("Shut down", "Add people", 'data-batch="delete"', 'data-opens="edit"'):
        assert missing not in page
    await text(school, "/users/bob", "dora", 404)
    assert ("DELETE", "users/ada/server") not in offers(await text(school, "/users/ada", "dora"))


@configured
async def test_whoever_may_see_names_alone_sees_no_servers(school):
    page = await text(school, "/users", "otto")
    assert people_on(page) == ["ada", "bob", "cy", "dora", "otto", "root"]
    assert {path for _, path in offers(page)} == {"users/otto/server"}
    assert "Lab" not in page
    row = page.partition('id="p' + (await school.views.user("ada")).id)[2].partition("</tr>")[0]
    assert "<time" not in row


@configured
async def test_the_room_is_for_those_with_its_scope(school):
    for path in ("/users", "/users/ada", "/groups", "/groups/class", "/roles", "/roles/user", "/services"):
        await text(school, path, "ada", 403)
        assert (await school.ask(f"/hub/admin{path}")).status == 302
    await text(school, "/groups", "otto", 403)
    await text(school, "/services", "dora", 403)


@configured
async def test_a_persons_page_says_why_they_hold_a_role(school):
    page = await text(school, "/users/ada")
    assert "everybody has it" in page
    assert "as a member of class" in page
    assert "Stop and remove servers (only for the group class and its members)" in page
    assert {("DELETE", "users/ada/sessions"), ("PUT", "users/ada/servers/{name}"), ("PATCH", "users/ada")} <= offers(
        page
    )
    dora = await text(school, "/users/ada", "dora")
    for missing in ("as a member of class", "sessions-title", "<dt>Tokens", 'data-send="PATCH"', "What happened"):
        assert missing not in dora
    await text(school, "/users/nobody", status=404)


@configured
async def test_an_administrator_is_changed_by_administrators_alone(school):
    page = await text(school, "/users/root")
    assert ("PATCH", "users/root") in offers(page)
    assert "Administrator</label>" in page


@configured
async def test_groups_are_found_and_shown_as_far_as_they_may_be_seen(school):
    page = await text(school, "/groups")
    assert {("DELETE", "groups/class"), ("DELETE", "groups/other"), ("POST", "groups/{group}")} == offers(page)
    assert offers(await text(school, "/groups?search=OTH")) == {("DELETE", "groups/other"), ("POST", "groups/{group}")}
    mine = await text(school, "/groups", "dora")
    assert "other" not in mine.partition("<main")[2]
    assert offers(mine) == set()
    page = await text(school, "/groups/class")
    assert {("DELETE", "groups/class/users"), ("POST", "groups/class/users"), ("DELETE", "groups/class")} == offers(
        page
    )
    assert "&#34;year&#34;: 1" in page
    assert "stopper" in page
    mine = await text(school, "/groups/class", "dora")
    assert offers(mine) == set()
    assert "stopper" not in mine
    await text(school, "/groups/other", "dora", 404)


@configured
async def test_roles_say_who_may_do_what_for_whom(school):
    page = await text(school, "/roles")
    for role in ("admin", "user", "server", "token", "deputy", "stopper", "robots"):
        assert f'href="/hub/admin/roles/{role}"' in page
    page = await text(school, "/roles?scope=delete:servers")
    assert "themselves" in page
    page = (await text(school, "/roles?scope=delete:servers&others=1")).partition('id="roles"')[2]
    assert re.findall(r"/hub/admin/roles/(\w+)", page) == ["admin", "stopper"]
    assert "everybody" in page
    assert "the group class and its members" in page
    await text(school, "/roles?scope=nonsense", status=400)


@configured
async def test_holders_of_a_role_are_shown_to_those_who_may_know_of_them(school):
    page = await text(school, "/roles/deputy")
    assert "Looks after the class" in page
    assert ">dora</a>" in page
    assert ">root</a>" in await text(school, "/roles/admin")
    assert ">class</a>" in await text(school, "/roles/stopper")
    assert "<li>robot</li>" in await text(school, "/roles/robots")
    assert ">dora</a>" not in await text(school, "/roles/deputy", "otto")  # who may know ada's roles
    await text(school, "/roles/nothing", status=404)


@configured
async def test_services_are_shown_with_what_becomes_of_them(school):
    page = await text(school, "/services")
    assert "Does not answer" in page
    assert "robots</a>" in page
    assert offers(page) == {("POST", "services/{service}")}  # none of these was added while the hub runs
    answer = await school.ask(
        "/hub/api/services/guest", "root", "POST", json={"display": True}, headers={"X-XSRFToken": school.xsrf("root")}
    )
    assert answer.status == 201
    assert ("DELETE", "services/guest") in offers(await text(school, "/services"))


@configured
async def test_everybody_who_matches_is_listed_for_whoever_may_list_them(school):
    async def found(token, query=""):
        answer = await school.ask(f"/hub/api/people{query}", token=token)
        return answer.status, {each["name"]: each["active"] for each in (await answer.json()).get("people", ())}

    root, dora, ada = [await school.token(name) for name in ("root", "dora", "ada")]
    assert await found(root, "?state=active") == (200, {"ada": [""], "bob": ["lab"]})
    assert await found(root, "?search=OT") == (200, {"otto": [], "root": []})
    assert await found(dora) == (200, {"ada": [""]})
    assert (await found(ada))[0] == 403
    assert (await found(root, "?state=x"))[0] == 400


@configured
async def test_a_service_that_somebody_else_runs_is_not_restarted(school):
    root, ada = await school.token("root"), await school.token("ada")

    async def restart(name, token=root):
        return (await school.ask(f"/hub/api/services/{name}/restart", token=token, method="POST")).status

    assert await restart("board") == 400
    assert await restart("nothing") == 404
    assert await restart("board", ada) == 403


async def test_pages_say_how_long_they_took_to_those_who_are_logged_in(house):
    await house.person("ada")
    timing = (await house.ask("/hub/home", "ada")).headers["Server-Timing"]
    assert re.fullmatch(r"hub;dur=\d+\.\d", timing)
    assert "Server-Timing" not in (await house.ask("/hub/home")).headers
    assert "Server-Timing" not in (await house.ask("/hub/api/user", "ada")).headers
