"""The pages over HTTP: the real application over a real database, its servers moved by the commands that move them."""

from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import ClientResponse

from hubbub.domain.server_messages import (
    ClaimAttempt,
    Failure,
    ReportExit,
    ReportFailed,
    ReportResponded,
    ReportStarted,
    StartServer,
    StopServer,
)
from hubbub.eventlog import Context
from hubbub.views import SERVERS

LATER = datetime.now(UTC) + timedelta(hours=1)
BY_TEST = Context.of("test")


def start(prefix: str = "/user/ada/") -> StartServer:
    return StartServer(at=datetime.now(UTC), pool="default", prefix=prefix, deadline=LATER)


CLAIM = ClaimAttempt(attempt=1, worker="w", host="h", token="t", deadline=LATER)
STARTED = ReportStarted(attempt=1, worker="w", url="http://127.0.0.1:1", deadline=LATER)
RESPONDED = ReportResponded(attempt=1, worker="w", deadline=LATER, version="6.1.1")
BROKEN = Failure(reason="exit", message="it ended <at once> with status 1")
FAILED = ReportFailed(attempt=1, worker="w", failure=BROKEN, deadline=LATER)
GONE = ReportExit(attempt=1, worker="w", status="1", deadline=LATER)


def going(answer: ClientResponse) -> tuple[int, str]:
    return answer.status, answer.headers.get("Location", "")


@pytest.mark.parametrize(
    ("path", "goes_to"),
    [
        ("/", (302, "/hub/")),
        ("/hub", (301, "/hub/")),
        ("/user/ada", (301, "/user/ada/")),
        ("/user/ada/tree/x?y=1", (302, "/hub/user/ada/tree/x?y=1")),
        ("//elsewhere.example/x", (302, "/hub//elsewhere.example/x")),
        ("/hub/", (302, "/hub/login?next=%2Fhub%2F")),
        ("/hub/home", (302, "/hub/login?next=%2Fhub%2Fhome")),
        ("/hub/spawn/ada?next=%2Fx", (302, "/hub/login?next=%2Fhub%2Fspawn%2Fada%3Fnext%3D%252Fx")),
        ("/hub/user/ada/lab", (302, "/hub/login?next=%2Fhub%2Fuser%2Fada%2Flab")),
    ],
)
async def test_strangers_are_led_to_the_hub_and_to_its_login(house, path, goes_to):
    assert goes_to == going(await house.ask(path))


async def test_the_front_door_leads_to_starting_ones_server_and_then_to_it(house):
    await house.person("ada")
    assert going(await house.ask("/hub/?a=1", "ada")) == (302, "/hub/spawn?a=1")
    answer = await house.ask("/hub/user-redirect/lab/tree/a%20b.ipynb?x=1", "ada")
    assert going(answer) == (302, "/hub/spawn/ada?next=%2Fuser%2Fada%2Flab%2Ftree%2Fa%2520b.ipynb%3Fx%3D1")
    await house.route(await house.server("ada", "", start(), CLAIM, STARTED, RESPONDED))
    assert going(await house.ask("/hub/", "ada")) == (302, "/user/ada/")
    assert going(await house.ask("/hub/?next=/hub/token", "ada")) == (302, "/hub/token")
    assert going(await house.ask("/hub/?next=//elsewhere.example", "ada")) == (302, "/user/ada/")


@pytest.mark.parametrize("options", [{"redirect_to_server": False}], indirect=True)
async def test_the_front_door_leads_home_where_the_operator_wants_that(house):
    await house.person("ada")
    assert going(await house.ask("/hub/", "ada")) == (302, "/hub/home")
    assert "Named servers" not in await (await house.ask("/hub/home", "ada")).text()


async def test_home_shows_every_server_as_it_is_and_escapes_what_others_wrote(house):
    await house.person("ada")
    await house.server("ada", "lab", start("/user/ada/lab/"), display_name="<b>Lab</b>")
    await house.server("ada", "old", start(), CLAIM, FAILED, GONE)
    page = await (await house.ask("/hub/home", "ada")).text()
    assert "&lt;b&gt;Lab&lt;/b&gt;" in page
    assert "<b>" not in page
    assert "it ended &lt;at once&gt; with status 1" in page
    for state in ('data-name="Your server" data-state="stopped"', 'data-state="starting"', 'data-state="failed"'):
        assert state in page
    assert 'href="/hub/spawn-pending/ada/lab"' in page
    assert 'data-path="users/ada/servers/old"' in page


async def test_a_link_of_ours_starts_the_server_and_shows_its_progress(house):
    await house.person("ada")
    answer = await house.ask("/hub/spawn?next=%2Fuser%2Fada%2Flab", "ada")
    assert going(answer) == (302, "/hub/spawn-pending/ada?next=%2Fuser%2Fada%2Flab")
    assert (await house.views.server("ada", "")).pending == "spawn"
    answer = await house.ask("/hub/spawn-pending/ada", "ada")
    assert answer.status == 200
    assert 'data-path="users/ada/server"' in await answer.text()
    assert going(await house.ask("/hub/spawn/ada", "ada")) == (302, "/hub/spawn-pending/ada")


async def test_a_link_on_another_site_only_offers_to_start(house):
    await house.person("ada")
    answer = await house.ask("/hub/spawn", "ada", headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status == 200
    assert '<form method="post" action="/hub/spawn">' in await answer.text()
    assert (await house.ask("/hub/spawn", "ada", "HEAD")).status == 405
    assert await house.views.server("ada", "") is None


async def test_the_start_button_starts_with_a_token_of_ours_only(house):
    await house.person("ada")
    assert (await house.ask("/hub/spawn/ada/lab", "ada", "POST")).status == 403
    assert (await house.ask("/hub/spawn/ada/lab", "", "POST")).status == 403
    answer = await house.ask("/hub/spawn/ada/lab", "ada", "POST", data={"_xsrf": house.xsrf("ada")})
    assert going(answer) == (302, "/hub/spawn-pending/ada/lab")


async def test_a_start_that_is_refused_says_why_and_offers_another(house):
    await house.person("ada")
    answer = await house.ask("/hub/spawn/ada/Not%20A%20Name", "ada")
    assert answer.status == 400
    assert "Invalid server name" in await answer.text()


async def test_nobody_starts_or_watches_the_servers_of_others_but_an_admin(house):
    await house.person("ada")
    await house.person("bob")
    await house.person("root", admin=True)
    for path in ("/hub/spawn/ada", "/hub/spawn-pending/ada", "/hub/user/ada/"):
        assert (await house.ask(path, "bob")).status == 404
    assert going(await house.ask("/hub/spawn/ada", "root")) == (302, "/hub/spawn-pending/ada")
    assert "ada&#39;s server" in await (await house.ask("/hub/spawn-pending/ada", "root")).text()
    assert (await house.ask("/hub/spawn/nobody", "root")).status == 404


async def test_the_progress_page_knows_what_became_of_the_start(house):
    await house.person("ada")
    page = await house.ask("/hub/spawn-pending/ada", "ada")
    assert (page.status, "Server not running" in await page.text()) == (200, True)
    server = await house.server("ada", "", start(), CLAIM, FAILED)
    page = await house.ask("/hub/spawn-pending/ada", "ada")
    assert (page.status, "data-pending" in await page.text()) == (500, True)
    await house.committer.execute(SERVERS, server, GONE, BY_TEST.follow())
    page = await house.ask("/hub/spawn-pending/ada?next=/user/ada/x", "ada")
    text = await page.text()
    assert (page.status, "Spawn failed" in text, "data-pending" in text) == (500, True, False)
    assert "/hub/spawn/ada?next=%2Fuser%2Fada%2Fx" in text
    assert (await house.ask("/hub/spawn-pending/ada/nothing", "ada")).status == 404


async def test_a_start_that_was_called_off_is_no_failure(house):
    await house.person("ada")
    await house.server("ada", "", start(), StopServer(deadline=LATER))
    page = await house.ask("/hub/spawn-pending/ada", "ada")
    assert (page.status, "Server not running" in await page.text()) == (200, True)


async def test_a_ready_server_is_where_every_way_leads(house):
    await house.person("ada")
    await house.route(await house.server("ada", "lab", start("/user/ada/lab/"), CLAIM, STARTED, RESPONDED))
    for path in ("/hub/spawn/ada/lab", "/hub/spawn-pending/ada/lab"):
        assert going(await house.ask(path, "ada")) == (302, "/user/ada/lab/")
        assert going(await house.ask(f"{path}?next=/user/ada/lab/x%2520y", "ada")) == (302, "/user/ada/lab/x%20y")
    answer = await house.ask("/hub/user/ada/lab/tree?a=1", "ada")
    assert going(answer) == (302, "/user/ada/lab/tree?a=1&redirects=1")
    assert (await house.ask("/hub/user/ada/lab/tree?redirects=4", "ada")).status == 500


async def test_an_address_of_a_stopped_server_offers_to_start_it(house):
    await house.person("ada")
    answer = await house.ask("/hub/user/ada/lab/tree?a=1", "ada")
    assert answer.status == 424
    assert "/hub/spawn/ada?next=%2Fhub%2Fuser%2Fada%2Flab%2Ftree%3Fa%3D1" in await answer.text()
    await house.server("ada", "lab", start("/user/ada/lab/"))
    answer = await house.ask("/hub/user/ada/lab/tree", "ada")
    assert going(answer) == (303, "/hub/spawn-pending/ada/lab?next=%2Fhub%2Fuser%2Fada%2Flab%2Ftree")


async def test_programs_are_told_in_json_that_the_server_is_not_there(house):
    await house.person("ada")
    await house.server("ada", "lab")
    here = f"http://127.0.0.1:{house.client.port}"
    said = "JupyterHub server no longer running at /user/ada/lab/api/x. Restart the server at "
    for path, headers in (("/hub/user/ada/lab/api/x", {}), ("/hub/user/ada/lab/x", {"Accept": "application/json"})):
        answer = await house.ask(path, "ada", headers=headers)
        assert answer.status == 424
        assert {"message": f"{said.replace('/api', path[17:-2])}{here}/hub/spawn/ada/lab"} == await answer.json()
    assert (await house.ask("/hub/user/ada/lab/api/x", "ada", "DELETE")).status == 403
    forged = {"X-XSRFToken": house.xsrf("ada")}
    assert (await house.ask("/hub/user/ada/lab/api/x", "ada", "DELETE", headers=forged)).status == 424
    assert (await house.ask("/hub/user/ada/lab/api/x", "ada", "PUT")).status == 405


async def test_what_is_not_there_is_said_on_a_page(house):
    answer = await house.ask("/hub/nothing/here")
    assert (answer.status, answer.content_type) == (404, "text/html")
    assert "<h1>Not Found</h1>" in await answer.text()
    answer = await house.ask("/hub/error/503")
    assert (answer.status, "<h1>Service Unavailable</h1>" in await answer.text()) == (200, True)
    assert (await house.ask("/hub/error/599")).status == 200
    assert (await house.ask("/hub/security/csp-report", method="POST", data="x" * 10_000)).status == 204


async def test_the_logo_is_ours_unless_the_operator_has_one(house):
    assert (await house.ask("/hub/logo")).content_type == "image/svg+xml"
