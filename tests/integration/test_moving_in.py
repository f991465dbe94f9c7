"""A JupyterHub 6.1.1 with people at work moves in, and out again: nobody's server, token or login is lost."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from checks import five_checks
from moving_rig import CONFIG, Browser, Old, old
from stack import HERE, HUBBUB, Hub, eventually, hub

#: What the API says otherwise afterwards, in the words of docs/coming-from-jupyterhub.md, and how both are made alike.
DIFFERENCES: dict[str, Callable[[dict[str, Any]], None]] = {}
GUIDE = HERE.parents[1] / "docs/coming-from-jupyterhub.md"


def differs(what: str) -> Callable[[Callable[[dict[str, Any]], None]], None]:
    def keep(alike: Callable[[dict[str, Any]], None]) -> None:
        DIFFERENCES[what] = alike

    return keep


@differs("ids of tokens")
def _ids(seen: dict[str, Any]) -> None:
    for token in _tokens(seen):
        assert token.pop("id").startswith("a")


@differs("`oauth_client` of a server's own token")
def _clients(seen: dict[str, Any]) -> None:
    for token in _tokens(seen):
        if token["note"].startswith("Server at "):
            assert token.pop("oauth_client") in ("JupyterHub", token["note"])


@differs("the scope `read:events` of administrators")
def _events(seen: dict[str, Any]) -> None:
    for token in _tokens(seen):
        token["scopes"] = sorted(set(token["scopes"]) - {"read:events"})  # JupyterHub has them in no order


@differs("a server shared with a group, in the scopes of its members' tokens")
def _by_group(seen: dict[str, Any]) -> None:
    for token in _tokens(seen):
        token["scopes"] = [scope for scope in token["scopes"] if not scope.endswith("!server=user-001/")]


@differs("`state` and `user_options` of a default server that nobody has started")
def _untouched(seen: dict[str, Any]) -> None:
    for path, said in seen.items():
        for server in _servers(path, said):
            if not server["name"] and server["last_activity"] is None:
                assert [server.pop("state"), server.pop("user_options")] in ([None, None], [{}, {}])


@differs("`last_activity` of the hub's and of services' routes in `GET /proxy`")
def _routes(seen: dict[str, Any]) -> None:
    for spec, route in seen["/proxy"].items():
        if "/user/" not in spec:
            route["data"].pop("last_activity", None)


def _tokens(seen: dict[str, Any]) -> list[dict[str, Any]]:
    return [token for path, said in seen.items() if path.endswith("/tokens") for token in said["api_tokens"]]


def _going_on(seen: dict[str, Any]) -> None:
    """People go on working: what was active while they were looked at has been so at another time."""
    servers = [server for path, said in seen.items() for server in _servers(path, said)]
    active = {server["full_name"].partition("/")[0] for server in servers if server["ready"]}
    for path, said in seen.items():
        for user in (
            said if path.startswith("/users?") else [said] if path.count("/") == 2 and "auth_state" in said else []
        ):
            if user["name"] in active:
                assert user.pop("last_activity")
    for server in servers:
        if server["ready"]:
            assert server.pop("last_activity")
    for route in seen["/proxy"].values():
        route["data"].pop("last_activity", None)


def _servers(path: str, said: Any) -> list[dict[str, Any]]:
    users = said if path.startswith("/users?") else [said] if path.startswith("/users/") and "servers" in said else []
    return [server for user in users for server in user["servers"].values()]


def alike(seen: dict[str, Any]) -> dict[str, Any]:
    """*seen* without what is known to differ."""
    for each in DIFFERENCES.values():
        each(seen)
    _going_on(seen)
    for said in _tokens(seen):
        said.pop("last_activity")  # order and time of the last use: of those that were used to look
    for path, said in seen.items():
        if path.endswith("/tokens"):
            said["api_tokens"].sort(key=lambda token: (token["created"], token["note"]))
    return seen


def unlike(before: Any, after: Any, path: str = "") -> dict[str, Any]:
    """Where they differ, and how."""
    if isinstance(before, dict) and isinstance(after, dict):
        keys = {**before, **after}
        pairs = [(before.get(key, "absent"), after.get(key, "absent"), f"{path} {key}") for key in keys]
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = [(*pair, f"{path} {place}") for place, pair in enumerate(zip(before, after, strict=True))]
    else:
        return {} if before == after else {path: (before, after)}
    return {key: value for pair in pairs for key, value in unlike(*pair).items()}


async def command(there: Old, *arguments: str) -> tuple[int, str]:
    """`hubbub ...` on the folder that the hub will have."""
    process = await asyncio.create_subprocess_exec(
        str(HUBBUB),
        *arguments,
        *("-f", str(CONFIG), "--data", str(there.data)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, **there.environ},
    )
    output, _ = await asyncio.wait_for(process.communicate(), 300)
    return process.returncode or 0, output.decode()


@asynccontextmanager
async def talking(there: Old, name: str) -> AsyncIterator[Callable[[str], Any]]:
    """A WebSocket to the server of *name*, which gives back what is said."""
    url = f"{there.url.replace('http', 'ws', 1)}user/{name}/_ws"
    async with there.session.ws_connect(url) as socket:

        async def say(word: str) -> None:
            await socket.send_str(word)
            async with asyncio.timeout(10):
                assert (await socket.receive_str()) == word

        yield say


async def moved(folder: Path, users: int, running: int, **environ: str) -> None:
    async with old(folder, **environ) as there:
        await there.populate(users, running)
        first = there.running[0]
        async with Browser(there) as browser, talking(there, first) as say:
            await browser.login(first)
            await say("before")
            servers = {name: await there.standin(name) for name in there.running}
            who = await there.who()
            before = await there.seen()
            would = await looked_at(there, users, running)
            await there.stop()
            await brought(there, would)
            async with hub(there.data, config=CONFIG, environ=there.environ) as house:
                assert house.url == there.url
                after = await there.seen()
                assert await changed(who, await there.who()) == {}
                await say("after")
                assert {name: (await there.standin(name))["pid"] for name in there.running} == {
                    name: server["pid"] for name, server in servers.items()
                }
                assert unlike(alike(deepcopy(before)), alike(after)) == {}
                assert (await browser.ask("GET", "hub/home"))[0] == 200
                await oauth(browser, first, servers[first]["env"]["JUPYTERHUB_API_TOKEN"])
                await at_work(there, house, servers)
                await five_checks(house)
                await house.stop()
                await say("between")
                await back(there, who, before)


async def looked_at(there: Old, users: int, running: int) -> str:
    """What would happen, asked while JupyterHub runs."""
    status, said = await command(there, "import", str(there.folder / "jupyterhub.sqlite"), "--dry-run")
    assert status == 0 and f"users: {users + 3}\n" in said and f"running servers: {running}\n" in said, said
    assert list(there.data.iterdir()) == []
    return said


async def brought(there: Old, would: str) -> None:
    """What was said would happen does, once."""
    database = str(there.folder / "jupyterhub.sqlite")
    assert await command(there, "import", database) == (0, would)
    status, again = await command(there, "import", database)
    assert status == 0 and "nothing was changed" in again, again


async def changed(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """What tokens may do, but for what docs/differences.md says of administrators and of what groups are shared."""
    found = {}
    for token, (status, said) in before.items():
        now, then = set(after[token][1][2]) - {"read:events"}, set(said[2])
        more = now - then
        if after[token][0] != status or then - now or any("server=user-001/" not in scope for scope in more):
            found[token] = (then ^ now, after[token])
    return found


async def oauth(browser: Browser, name: str, secret: str) -> None:
    """A login at a server that JupyterHub has started, by the secret that it was given there."""
    client = f"jupyterhub-user-{name}"
    asked = {"client_id": client, "redirect_uri": f"/lab/user/{name}/oauth_callback", "response_type": "code"}
    query = "&".join(f"{key}={value}" for key, value in asked.items())
    status, location, _ = await browser.ask("GET", f"hub/api/oauth2/authorize?{query}")
    assert status == 302 and "code=" in location, (status, location)
    code = location.partition("code=")[2].partition("&")[0]
    fields = {
        "client_id": client,
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": asked["redirect_uri"],
    }
    wrong = await browser.ask("POST", "hub/api/oauth2/token", data={**fields, "client_secret": "x" * 32})
    assert wrong[0] == 401, wrong
    status, _, text = await browser.ask("POST", "hub/api/oauth2/token", data={**fields, "client_secret": secret})
    assert status == 200 and "access_token" in text, text


async def at_work(there: Old, house: Hub, servers: dict[str, Any]) -> None:
    """A server says that it is in use, by the token it has; one is stopped, another started."""
    *_, last = there.running
    token = servers[last]["env"]["JUPYTERHUB_API_TOKEN"]
    body = {"servers": {"": {"last_activity": "2030-01-01T00:00:00Z"}}}
    assert (await there.ask("POST", f"/users/{last}/activity", body, token))[0] == 400  # it is heard, and too late
    assert (await there.ask("DELETE", f"/users/{last}/server"))[0] in (202, 204)

    async def gone() -> bool:
        return servers[last]["pid"] not in [process.pid for process in house.workloads()]

    await eventually(gone, 30, "the server of JupyterHub ended when it was stopped")
    assert (await there.ask("GET", "/user", token=token))[0] == 403
    new = there.names[-1]
    assert (await there.ask("POST", f"/users/{new}/server"))[0] in (201, 202)
    await house.ready(new)


async def back(there: Old, who: dict[str, Any], before: dict[str, Any]) -> None:
    """The hub has ended, servers and the proxy run on: JupyterHub takes both over again."""
    made = there.folder / "back.sqlite"
    status, said = await command(there, "export", str(made))
    assert status == 0 and f"users: {len(before['/users?include_stopped_servers=1&limit=1000'])}\n" in said, said
    there.environ["MOVING_DB"] = f"sqlite:///{made}"
    await there.start()
    assert await changed(who, await there.who()) == {}
    quiet = there.names[-2]
    for path in ("/groups?limit=1000", "/services", f"/shares/{there.running[0]}", f"/users/{quiet}"):
        differs = unlike(before[path], await there.done("GET", path))
        assert set(differs) <= {" last_activity"}, differs
    for name in [*there.running[:-1], there.names[-1]]:
        assert (await there.done("GET", f"/users/{name}"))["servers"][""]["ready"], name
        assert (await there.standin(name))["env"]["JUPYTERHUB_USER"] == name
    await there.stop()


@pytest.mark.timeout(240)
async def test_a_hub_moves_in_while_people_work_and_out_again(tmp_path: Path) -> None:
    await moved(tmp_path / "old", users=16, running=2)


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_five_hundred_users_move_in_with_twenty_servers(tmp_path: Path) -> None:
    await moved(tmp_path / "old", users=500, running=20)


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_servers_of_a_class_of_others_are_found_by_their_state(tmp_path: Path) -> None:
    await moved(tmp_path / "old", users=8, running=3, MOVING_CLASSIC="1")


def test_the_guide_names_every_difference() -> None:
    text = GUIDE.read_text()
    assert [what for what in DIFFERENCES if f"| {what} |" not in text] == []
