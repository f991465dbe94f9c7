"""Managed services run once, over all replicas and through all deaths, and know who visits them."""

import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
import pytest_asyncio

from browser import Browser
from burst import killed
from checks import five_checks, rows
from external import operators_words
from hubbub.free_port import free_port
from stack import HERE, MANY, Hub, eventually, hub

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROLES = [
    {"name": "everywhere", "users": ["ada"], "scopes": ["access:services"]},
    {"name": "counts", "services": ["board"], "scopes": ["list:users"]},
]
STANDIN = [sys.executable, str(HERE / "managed_standin.py")]


def board(data: Path, **more: Any) -> dict[str, Any]:
    """What the operator says of a service with a page; its home is how the tests find its process."""
    environment = {"HOME": str(data / "home" / "board"), "COLOUR": "red", "PASSWORD": "secret-of-the-board"}
    url = f"http://127.0.0.1:{free_port()}"
    own = {"name": "board", "command": STANDIN, "url": url, "environment": environment, "oauth_no_confirm": True}
    return {**own, **more}


#: One without a page.
CLOCK = {"name": "clock", "command": [sys.executable, "-c", "import signal; signal.pause()"]}


def words(*services: dict[str, Any]) -> dict[str, str]:
    return operators_words(services, ROLES if services else [])


@asynccontextmanager
async def hub_with(data: Path, *services: dict[str, Any], scale: str = "", **environ: str) -> AsyncIterator[Hub]:
    said = {**words(*services), **environ}
    async with hub(data, config=HERE / "config_managed.py", scale=scale, environ=said) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hub]:
    data = tmp_path_factory.mktemp("managed") / "data"
    async with hub_with(data, board(data), CLOCK, scale=MANY, TEST_ACTIVE_LIMIT="2", TEST_SLOW_SPAWN="2") as made:
        await made.user("ada")
        await made.user("bob")
        yield made


async def seen(house: Hub, path: str = "", token: str = "") -> Any:
    """What the board says at its public address; None while it says nothing, or refuses."""
    headers = {"Authorization": f"token {token}"} if token else {}
    url = f"{house.url}services/board/{path}"
    try:
        async with house.session.get(url, headers=headers, allow_redirects=False) as response:
            return await response.json() if response.status == 200 else None
    except (aiohttp.ClientError, TimeoutError):
        return None


async def runs(house: Hub, but: int = 0) -> dict[str, Any]:
    """What the board says of itself, once it does so from another process than *but*."""

    async def another() -> Any:
        found = await seen(house)
        return found if found and found["pid"] != but else None

    found: dict[str, Any] = await eventually(another, 30, "the service answers")
    return found


def processes(house: Hub) -> list[int]:
    prefix = "/services/board/"
    return [each.pid for each in house.workloads() if each.environ()["JUPYTERHUB_SERVICE_PREFIX"] == prefix]


async def whose(house: Hub, token: str) -> tuple[int, Any]:
    return await house.api("GET", "/user", token=token)


async def test_it_runs_once_however_many_replicas_there_are(house: Hub) -> None:
    assert [(await runs(house))["pid"]] == processes(house)
    [row] = await rows(house, "select count(*) as starts from events where type = 'SpawnRequested'")
    assert row["starts"] == 2  # the board and the clock
    await five_checks(house)


async def test_it_finds_what_jupyterhub_would_tell_it(house: Hub) -> None:
    about = await runs(house)
    told = {name.removeprefix("JUPYTERHUB_"): value for name, value in about["env"].items() if "JUPYTERHUB" in name}
    [entry] = [each for each in json.loads(house.environ["TEST_SERVICES"]) if each["name"] == "board"]
    assert told["API_TOKEN"] == about["env"]["JPY_API_TOKEN"]
    assert (told["SERVICE_NAME"], told["SERVICE_PREFIX"], told["USER"]) == ("board", "/services/board/", "")
    assert (told["SERVICE_URL"], told["CLIENT_ID"]) == (entry["url"], "service-board")
    assert json.loads(told["OAUTH_ACCESS_SCOPES"]) == ["access:services", "access:services!service=board"]
    assert told["OAUTH_CALLBACK_URL"] == "/services/board/oauth_callback"
    assert "ACTIVITY_URL" not in told
    assert about["env"]["COLOUR"] == "red"
    assert not [name for name in about["env"] if name.startswith("HUBBUB")]


async def test_its_token_is_its_own_with_the_roles_of_the_configuration(house: Hub) -> None:
    token = (await runs(house))["env"]["JUPYTERHUB_API_TOKEN"]
    status, model = await whose(house, token)
    assert (status, model["kind"], model["name"]) == (200, "service", "board")
    assert "list:users" in model["scopes"]
    assert (await house.api("GET", "/users", token=token))[0] == 200
    assert (await house.api("GET", "/groups", token=token))[0] == 403


async def test_it_knows_who_visits(house: Hub) -> None:
    _, made = await house.api("POST", "/users/ada/tokens")
    await runs(house)
    assert (await seen(house, "whoami", made["token"]))["name"] == "ada"
    assert await seen(house, "whoami", "nobody's") is None


async def test_a_browser_is_sent_to_the_hub_and_back(house: Hub) -> None:
    """The secret of its OAuth client is the token that its process was started with."""
    await runs(house)
    async with Browser(house.url) as browser:
        page = browser.base.with_path("/services/board/whoami")
        await browser.get(str(page))
        assert browser.url.path == "/hub/login"
        fields = {"username": "ada", "password": "password-of-everyone", "_xsrf": browser.cookie("_xsrf")}
        async with browser.session.post(browser.url, data=fields) as response:
            assert (response.status, response.url.path) == (200, page.path)
            assert (await response.json())["name"] == "ada"


async def test_a_service_without_a_page_runs_at_once(house: Hub) -> None:
    async def running() -> Any:
        return await rows(house, "select 1 from servers where id = 'managed:clock' and kind = 'Running'")

    await eventually(running, 30, "the clock runs")
    assert "services/clock" not in str(await house.api("GET", "/proxy"))


async def test_it_is_no_server_of_anybody_and_counts_for_no_limit(house: Hub) -> None:
    """Two services run, and two servers may."""
    await runs(house)
    for name in ("ada", "bob"):
        status, _ = await house.api("POST", f"/users/{name}/server")
        assert status in (201, 202)
    assert (await house.api("POST", "/users/ada/servers/lab"))[0] == 429
    _, models = await house.api("GET", "/users?include_stopped_servers=1")
    named = {server["full_name"] for model in models for server in model["servers"].values()}
    assert named == {f"{model['name']}/" for model in models} >= {"ada/", "bob/"}
    _, routes = await house.api("GET", "/proxy")
    assert routes["/services/board/"]["data"] == {"service": "board"}
    for name in ("ada", "bob"):
        assert (await house.api("DELETE", f"/users/{name}/server"))[0] in (202, 204)
    await five_checks(house)


async def test_one_that_is_killed_is_back_with_another_token(house: Hub) -> None:
    before = await runs(house)
    os.kill(before["pid"], signal.SIGKILL)
    after = await runs(house, but=before["pid"])
    await five_checks(house)
    assert [after["pid"]] == processes(house)
    assert (await whose(house, before["env"]["JUPYTERHUB_API_TOKEN"]))[0] == 403
    assert (await whose(house, after["env"]["JUPYTERHUB_API_TOKEN"]))[0] == 200


async def test_it_outlives_its_worker(house: Hub) -> None:
    before = await runs(house)
    [row] = await rows(house, "select holder from servers where id = 'managed:board'")

    async def adopted() -> bool:
        """By a colleague, or by the worker's next self; only the latter is no event."""
        logs = [path.read_text() for path in (house.data / "log").glob("spawner-worker-*.log")]
        return any("server.adopted" in line and "managed:board" in line for log in logs for line in log.splitlines())

    assert not await adopted()
    house.kill(row["holder"])
    await eventually(adopted, 30, "the service is adopted")
    await five_checks(house)
    assert (await runs(house))["pid"] == before["pid"]
    assert (await whose(house, before["env"]["JUPYTERHUB_API_TOKEN"]))[0] == 200
    os.kill(before["pid"], signal.SIGKILL)
    await runs(house, but=before["pid"])
    await five_checks(house)


async def test_its_secrets_are_in_no_event_and_no_log(house: Hub) -> None:
    token = (await runs(house))["env"]["JUPYTERHUB_API_TOKEN"]
    written = await rows(house, "select data || meta as text from events")
    texts = [*(row["text"] for row in written), house.logs()]
    for secret in (token, "secret-of-the-board"):
        assert not [text for text in texts if secret in text]


async def test_a_server_says_which_port_it_has_chosen(house: Hub) -> None:
    """As batchspawner's servers do: the spawner that waits for it finds it."""
    status, _ = await house.api("POST", "/users/bob/server", {"chooses": True}, params={"_": ""})
    assert status in (201, 202)

    async def begun() -> psutil.Process | None:
        found = [each for each in house.workloads() if each.environ()["JUPYTERHUB_SERVICE_PREFIX"] == "/user/bob/"]
        return found[0] if found else None

    environ = (await eventually(begun, 10, "the server runs")).environ()
    token, port = environ["JUPYTERHUB_API_TOKEN"], int(environ["JUPYTERHUB_SERVICE_URL"].split(":")[2].split("/")[0])
    for body in ({"port": 0}, {"port": 65536}, {"port": "80"}, {"port": port, "cmd": "sh"}, {}):
        assert (await house.api("POST", "/batchspawner", body, token=token))[0] == 400
    assert (await house.api("POST", "/batchspawner", {"port": port}))[0] == 403  # the token of no server
    assert not await house.is_ready("bob")
    status, said = await house.api("POST", "/batchspawner", {"port": port}, token=token)
    assert (status, said) == (201, {"message": "BatchSpawner data configured"})
    await eventually(lambda: house.is_ready("bob"), 20, "the server is ready")
    await house.api("DELETE", "/users/bob/server")
    await five_checks(house)


async def stack_killed(it: Hub) -> None:
    """`hubbub up` and all that it has started, but for the service, at one moment."""
    up = psutil.Process(it.pid_of_up())
    up.suspend()  # or it would begin to start others
    theirs = set(processes(it))
    parts = [each for each in [*up.children(recursive=True), it.proxy(), up] if each.pid not in theirs]
    for part in parts:
        with suppress(psutil.NoSuchProcess):
            part.kill()
    for part in parts:
        await killed(part.pid)
    await it.ended(10)


async def test_it_outlives_the_whole_stack(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with hub_with(data, board(data)) as it:
        before = await runs(it)
        await stack_killed(it)
        assert processes(it) == [before["pid"]]
        await it.start()
        await five_checks(it)
        assert (await runs(it))["pid"] == before["pid"]
        assert (await whose(it, before["env"]["JUPYTERHUB_API_TOKEN"]))[0] == 200
        # With cleanup it is stopped with everything, and comes back with everything.
        assert await it.stop() == 0
        assert processes(it) == []
        await it.start()
        after = await runs(it)
        await five_checks(it)
        assert [after["pid"]] == processes(it)


@pytest.mark.long
async def test_a_change_of_its_configuration_counts_from_the_next_start(tmp_path: Path) -> None:
    data = tmp_path / "data"
    entry = board(data)
    async with hub_with(data, entry, TEST_CLEANUP="0") as it:
        before = await runs(it)
        assert await it.stop() == 0
        assert processes(it) == [before["pid"]]
        await it.start()
        await five_checks(it)
        assert (await runs(it))["pid"] == before["pid"]

        assert await it.stop() == 0
        entry["environment"]["COLOUR"] = "blue"
        it.environ |= words(entry)
        await it.start()
        after = await runs(it, but=before["pid"])
        await killed(before["pid"])
        await five_checks(it)
        assert (after["env"]["COLOUR"], [after["pid"]]) == ("blue", processes(it))

        assert await it.stop() == 0
        it.environ |= words()
        await it.start()
        await killed(after["pid"])
        await five_checks(it)
        assert processes(it) == []
        assert (await whose(it, after["env"]["JUPYTERHUB_API_TOKEN"]))[0] == 403
