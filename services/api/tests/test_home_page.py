"""The home page: what is shared, what operators announce, services, and browsers without scripts."""

from datetime import UTC, datetime, timedelta
from typing import Any

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
)
from hubbub_api.keys import VIEWS

LATER = datetime.now(UTC) + timedelta(hours=1)
CLAIM = ClaimAttempt(attempt=1, worker="w", host="h", token="t", deadline=LATER)
STARTED = ReportStarted(attempt=1, worker="w", url="http://127.0.0.1:1", deadline=LATER)
RESPONDED = ReportResponded(attempt=1, worker="w", deadline=LATER)
GONE = ReportExit(attempt=1, worker="w", status="1", deadline=LATER)

SHARES = {
    "allow_named_servers": True,
    "services": [
        {"name": "wiki", "url": "http://127.0.0.1:9", "api_token": "token-of-the-wiki"},
        {"name": "secret", "url": "http://127.0.0.1:9", "display": False, "api_token": "token-of-another"},
        {"name": "grader", "url": "http://127.0.0.1:9", "api_token": "token-of-the-grader"},
    ],
    "load_roles": [
        {"name": "user", "scopes": ["self", "shares!user", "access:services!service=wiki"]},
        {"name": "hidden", "scopes": ["access:services!service=secret"], "users": ["ada"]},
    ],
}


def start(prefix: str = "/user/ada/") -> StartServer:
    return StartServer(at=datetime.now(UTC), pool="default", prefix=prefix, deadline=LATER)


def going(answer: ClientResponse) -> tuple[int, str]:
    return answer.status, answer.headers.get("Location", "")


async def home(house, who: str) -> str:
    answer = await house.ask("/hub/home", who)
    assert answer.status == 200
    text: str = await answer.text()
    return text


async def share(house, server: str, scopes: list[str], **with_whom: str) -> None:
    token = await house.token("root")
    body = {**with_whom, "scopes": scopes}
    answer = await house.ask(f"/hub/api/shares/ada/{server}", "", "POST", token, json=body)
    assert answer.status == 200, await answer.text()


async def people(house, *names: str) -> None:
    for name in names:
        await house.person(name)
    await house.person("root", admin=True)


async def test_a_server_of_somebody_else_is_there_as_long_as_it_is_shared(house):
    await people(house, "ada", "bob")
    await house.route(await house.server("ada", "lab", start(), CLAIM, STARTED, RESPONDED))
    assert "Shared with you" not in await home(house, "bob")
    await share(house, "lab", ["access:servers"], user="bob")
    page = await home(house, "bob")
    assert 'data-name="ada&#39;s server lab" data-state="running"' in page
    assert 'data-path="users/bob/shared/ada/lab"' in page
    assert ">Stop<" not in page
    token = await house.token("bob")
    assert (await house.ask("/hub/api/users/bob/shared/ada/lab", "", "DELETE", token)).status == 204
    assert "Shared with you" not in await home(house, "bob")


async def test_who_may_not_start_what_is_shared_is_told_who_can(house):
    await people(house, "ada", "bob")
    await house.server("ada", "lab")
    await share(house, "lab", ["access:servers"], user="bob")
    page = await home(house, "bob")
    assert "You can open it once ada has started it." in page
    assert 'href="/hub/spawn/ada/lab"' not in page
    await share(house, "lab", ["servers"], user="bob")
    assert 'href="/hub/spawn/ada/lab"' in await home(house, "bob")


async def test_nobody_offers_to_share_who_may_not(house):
    await people(house, "ada")
    assert "/hub/sharing/" not in await home(house, "ada")
    assert (await house.ask("/hub/sharing/ada", "ada")).status == 200  # read:shares, which everybody has of their own
    assert "Make link" not in await (await house.ask("/hub/sharing/ada", "ada")).text()


@pytest.mark.parametrize("options", [SHARES], indirect=True)
async def test_services_are_there_for_those_who_may_use_them_if_they_want_to_be_seen(house):
    await house.person("ada")
    await house.settle(**SHARES)
    page = await home(house, "ada")
    assert 'href="/services/wiki/"' in page
    assert 'href="/hub/sharing/ada"' in page
    assert "secret" not in page
    assert "grader" not in page


async def test_what_operators_do_is_said_where_it_matters(house):
    await people(house, "ada")
    await house.route(await house.server("ada", "", start(), CLAIM, STARTED, RESPONDED))
    root = await house.token("root")
    await house.ask("/hub/api/house", "", "PATCH", root, json={"paused": True, "reason": "<disks>"})
    page = await home(house, "ada")
    assert "New starts are paused: &lt;disks&gt;" in page
    refused = await house.ask("/hub/spawn/ada/lab", "ada")
    assert (refused.status, "&lt;disks&gt;" in await refused.text()) == (503, True)
    await house.server("ada", "other")
    stopped = await house.ask("/hub/user/ada/other/", "ada")
    assert (stopped.status, "&lt;disks&gt;" in await stopped.text()) == (424, True)


async def test_a_browser_without_scripts_stops_ones_own_server_and_no_other(house):
    await people(house, "ada", "bob")
    await house.route(await house.server("ada", "lab", start(), CLAIM, STARTED, RESPONDED))
    for who, left in (("bob", "Running"), ("ada", "Stopping")):
        fields = {"stop": "lab", "_xsrf": house.xsrf(who)}
        assert going(await house.ask("/hub/home", who, "POST", data=fields)) == (302, "/hub/home")
        assert (await house.views.server("ada", "lab")).kind == left
    assert (await house.ask("/hub/home", "ada", "POST", data={"stop": "lab"})).status == 403
    nothing = {"_xsrf": house.xsrf("ada")}
    assert (await house.ask("/hub/home", "ada", "POST", data=nothing)).status == 400


async def test_a_browser_without_scripts_calls_off_a_start(house):
    await people(house, "ada", "bob")
    await house.server("ada", "lab", start("/user/ada/lab/"))
    path = "/hub/spawn-pending/ada/lab"
    assert (await house.ask(path, "bob", "POST", data={"_xsrf": house.xsrf("bob")})).status == 404
    assert going(await house.ask(path, "ada", "POST", data={"_xsrf": house.xsrf("ada")})) == (302, "/hub/home")
    row = await house.views.server("ada", "lab")
    assert (row.kind, row.failure.reason) == ("Stopped", "cancelled")


async def test_a_failures_html_runs_under_the_nonce_of_the_page(house):
    await people(house, "ada")
    failure = Failure(reason="x", message="x", html="<b>Too big</b><script>x()</script>")
    failed = ReportFailed(attempt=1, worker="w", failure=failure, deadline=LATER)
    await house.server("ada", "", start(), CLAIM, failed, GONE)
    for path, status in (("/hub/home", 200), ("/hub/spawn-pending/ada", 500)):
        answer = await house.ask(path, "ada")
        assert answer.status == status
        policy = answer.headers["Content-Security-Policy"]
        nonce = policy.partition("'nonce-")[2].partition("'")[0]
        assert f'<b>Too big</b><script nonce="{nonce}">x()</script>' in await answer.text()


class Counting:
    """A source of rows that counts the questions."""

    def __init__(self, source: Any) -> None:
        self.source = source
        self.asked = 0

    async def fetch(self, query: str, *args: Any) -> Any:
        self.asked += 1
        return await self.source.fetch(query, *args)


async def test_the_page_asks_as_much_of_the_database_however_many_servers_there_are(house, monkeypatch):
    await people(house, "ada", "bob")
    views = house.client.app[VIEWS]
    counted = Counting(views._source)
    monkeypatch.setattr(views, "_source", counted)
    costs = []
    for name in ("one", "two", "three", "four"):
        await house.server("ada", name)
        await house.server("bob", name)
        await share(house, name, ["access:servers"], user="bob")
        counted.asked = 0
        assert f"ada&#39;s server {name}" in await home(house, "bob")
        costs.append(counted.asked)
    assert set(costs) == {costs[0]}
