"""`hubbub` on the terminal, against a whole hub: each command for people, and with --json for programs."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from stack import TOKEN, Hub, eventually, hub
from terminal import PATIENCE, Terminal

pytestmark = pytest.mark.asyncio(loop_scope="module")

WORKERS = ("spawner-worker-1", "spawner-worker-2")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hub]:
    data = tmp_path_factory.mktemp("terminal") / "data"
    async with hub(data, scale="api=2,spawner-worker=2", environ={"TEST_SLOW_SPAWN": "2"}) as made:
        for name in ("ada", "bob"):
            await made.user(name)
        yield made


@pytest.fixture
def hubbub(house: Hub) -> Terminal:
    return Terminal(house)


# Servers ------------------------------------------------------------------------------------


async def test_a_start_is_watched_and_led_to_and_a_stop_is_waited_for(hubbub: Terminal) -> None:
    started = await hubbub("start", "ada/lab")
    assert started.status == 0, started
    assert started.out.splitlines()[0] == "Server requested"
    url = started.out.splitlines()[-1].removeprefix("Ready: ")
    assert url == f"{hubbub.house.url}user/ada/lab/"
    assert await hubbub.house.standin("ada", "lab")
    again = await hubbub("start", "ada/lab")
    assert (again.status, again.out.splitlines()[-1]) == (0, f"Ready: {url}")
    stopped = await hubbub("stop", "ada/lab")
    assert (stopped.status, stopped.out) == (0, "It has stopped.\n")
    assert not await hubbub.house.is_ready("ada", "lab")


async def test_programs_get_each_step_and_the_end(hubbub: Terminal) -> None:
    started = await hubbub("start", "bob", "--json", "--options", '{"delay": 1}')
    *steps, last = started.records
    assert steps[0]["message"] == "Server requested"
    assert (last["ready"], last["status"], last["url"]) == (True, 0, f"{hubbub.house.url}user/bob/")
    assert (await hubbub("stop", "bob", "--json")).json["stopped"] is True


async def test_one_that_fails_says_why_and_so_does_the_exit_status(hubbub: Terminal) -> None:
    failed = await hubbub("start", "bob/broken", "--options", '{"fail": 7}')
    assert (failed.status, "status=7" in failed.err) == (3, True), failed
    found = (await hubbub("start", "bob/broken", "--options", '{"fail": 7}', "--json")).records[-1]
    assert (found["failed"], found["status"]) == (True, 3)


async def test_one_that_takes_too_long_goes_on_without_us(hubbub: Terminal) -> None:
    slow = await hubbub("start", "bob/slow", "--options", '{"delay": 60}', "--timeout", "1s")
    assert (slow.status, slow.err) == (4, "hubbub: It is still starting after 1 s\n")
    assert (await hubbub.house.model("bob"))["servers"]["slow"]["pending"] == "spawn"
    asked = await hubbub("start", "bob/slow", "--no-wait")
    assert (asked.status, asked.out) == (0, "It is starting.\n")
    assert (await hubbub("stop", "bob/slow")).status == 0


@pytest.mark.parametrize(
    ("arguments", "status", "why"),
    [
        (("start", "nobody"), 1, "there is no such thing"),
        (("start", "ada/No Such Name"), 1, "Invalid server name"),
        (("start", "a/b/c"), 1, "'a/b/c' is no server"),
        (("stop", "ada/none"), 1, "ada has no server named 'none'"),
        (("trace", "ada/none"), 1, "there is no such thing"),
        (("events", "--user", "nobody"), 1, "there is no such thing"),
        (("drain", "w9"), 1, "No worker w9 is known"),
        (("undrain", "w9"), 1, "w9 is not draining"),
        (("drain", WORKERS[0], "--in", "1h", "--at", "23:00"), 2, "not both"),
        (("drain", WORKERS[0], "--at", "2001-01-01"), 1, "it has passed"),
        (("banner",), 2, "give a text, or --clear"),
        (("as-of", "999999999", "users"), 1, "as_of"),
        (("users", "--as", "nobody"), 1, "there is no user nobody"),
    ],
)
async def test_what_cannot_be_is_one_line(hubbub: Terminal, arguments: tuple[str, ...], status: int, why: str) -> None:
    said = await hubbub(*arguments)
    assert (said.status, said.out) == (status, "")
    line = said.err.splitlines()[-1]
    assert line.startswith("hubbub")
    assert why in line
    assert len(said.err.splitlines()) == 1


# How the hub is run -------------------------------------------------------------------------


async def test_starts_are_paused_and_go_on(hubbub: Terminal) -> None:
    said = await hubbub("pause", "New", "disks")
    assert said.status == 0
    assert said.out.startswith("New starts are paused since ")
    assert said.out.endswith(": New disks\n")
    refused = await hubbub("start", "ada")
    assert (refused.status, refused.err) == (1, "hubbub: New starts are paused: New disks\n")
    status, body = await hubbub.house.api("POST", "/users/ada/server")
    assert (status, body["message"]) == (503, "New starts are paused: New disks")
    assert "New starts are paused" in (await hubbub("status")).out
    assert (await hubbub("status", "--json")).json["house"]["reason"] == "New disks"
    assert (await hubbub("resume")).out == "New starts are taken.\n"
    assert (await hubbub("resume", "--json")).json["paused"] is False


async def test_a_banner_is_put_up_and_taken_away(hubbub: Terminal) -> None:
    found = (await hubbub("banner", "Maintenance", "at noon", "--warning", "--until", "in 2h", "--json")).json["banner"]
    assert (found["text"], found["kind"]) == ("Maintenance at noon", "warning")
    left = datetime.fromisoformat(found["until"]) - datetime.now(UTC)
    assert timedelta(minutes=118) < left < timedelta(minutes=121)
    assert "Banner, warning: Maintenance at noon (until " in (await hubbub("status")).out

    async def is_on_pages_of_every_service() -> bool:
        async with hubbub.house.session.get(f"{hubbub.house.url}hub/login") as answer:
            return "Maintenance at noon" in await answer.text()

    await eventually(is_on_pages_of_every_service, 10, "the login page has the banner")
    assert (await hubbub("banner", "--clear")).out == "There is no banner.\n"
    assert "Banner" not in (await hubbub("status")).out


async def test_a_drained_worker_starts_nothing_until_it_is_undrained(hubbub: Terminal) -> None:
    said = await hubbub("drain", WORKERS[0], "--message", "disks", "--wait")
    assert (said.status, said.out) == (0, f"{WORKERS[0]} takes nothing more, and holds nothing.\n")
    workers = {each["name"]: each for each in (await hubbub("status", "--json")).json["workers"]}
    assert [workers[name]["status"] for name in WORKERS] == ["drained", "up"]
    assert workers[WORKERS[0]]["draining"]["message"] == "disks"
    for name in ("d1", "d2", "d3"):
        assert (await hubbub("start", f"ada/{name}")).status == 0
    row = next(line for line in (await hubbub("status")).out.splitlines() if line.startswith(WORKERS[1]))
    assert row.split()[:4] == [WORKERS[1], "default", "up", row.split()[3]]
    assert (await worker(hubbub, WORKERS[0]))["holds"]["running"] == 0
    assert (await worker(hubbub, WORKERS[1]))["holds"]["running"] == 3
    hubbub.house.kill(WORKERS[0])  # one that comes back goes on draining

    async def is_back() -> bool:
        found = await worker(hubbub, WORKERS[0])
        return bool(found["began"] > workers[WORKERS[0]]["began"])

    await eventually(is_back, PATIENCE, "the worker is back")
    assert (await worker(hubbub, WORKERS[0]))["status"] == "drained"
    assert (await hubbub("undrain", WORKERS[0])).out == f"{WORKERS[0]} takes work again.\n"
    assert (await hubbub("undrain", WORKERS[0], "--json")).status == 1


async def worker(hubbub: Terminal, name: str) -> Any:
    return next(each for each in (await hubbub("status", "--json")).json["workers"] if each["name"] == name)


async def test_at_its_deadline_what_a_worker_has_is_stopped(hubbub: Terminal) -> None:
    for name in ("d1", "d2", "d3"):
        await hubbub.house.ready("ada", name)
    said = await hubbub("drain", WORKERS[1], "--in", "1s", "--wait", "--json")
    assert (said.status, said.records[-1]["status"]) == (0, "drained"), said
    servers = (await hubbub.house.model("ada"))["servers"]
    assert not any(servers[name]["ready"] for name in ("d1", "d2", "d3"))
    told = (await hubbub("events", "--type", "StopRequested", "--json", "--limit", "3")).records
    assert [(each["data"]["reason"], each["user"]["name"]) for each in told] == [("drain", "ada")] * 3
    assert (await hubbub("undrain", WORKERS[1])).status == 0
    assert (await hubbub("start", "ada/d1")).status == 0
    assert (await hubbub("stop", "ada/d1")).status == 0


# Tables -------------------------------------------------------------------------------------


async def test_users_are_listed_and_looked_for(hubbub: Terminal) -> None:
    lines = (await hubbub("users")).out.splitlines()
    assert lines[0].split() == ["USER", "ROLE", "GROUPS", "SERVERS", "ACTIVE"]
    assert {line.split()[0] for line in lines[1:]} == {"admin", "ada", "bob"}
    assert [each["name"] for each in (await hubbub("users", "--filter", "AD", "--sort", "name", "--json")).json] == [
        "ada",
        "admin",
    ]
    some = await hubbub("users", "--limit", "2")
    assert some.out.splitlines()[-1] == "2 of 3: --all for the rest"
    assert len((await hubbub("users", "--all", "--json")).json) == 3
    assert (await hubbub("users", "--state", "ready", "--json")).json == []


async def test_tables_are_shown_as_they_were(hubbub: Terminal) -> None:
    before = int((await hubbub("events", "--limit", "1", "--json")).records[0]["position"])
    assert (await hubbub("start", "bob/then")).status == 0
    during = datetime.now(UTC).isoformat()
    assert (await hubbub("stop", "bob/then")).status == 0
    await hubbub.house.user("late")
    rows = (await hubbub("as-of", during, "servers")).out.splitlines()
    assert rows[0].split() == ["USER", "SERVER", "STATE", "STARTED", "PATH"]
    assert [row.split()[:3] for row in rows[1:]] == [["bob", "then", "ready"]]
    assert (await hubbub("as-of", str(before), "servers", "--json")).json == []
    [server] = (await hubbub("as-of", during, "servers", "--json")).json
    assert (server["user"], server["name"], server["ready"]) == ("bob", "then", True)
    routes = (await hubbub("as-of", during, "routes", "--json")).json
    assert routes["/user/bob/then/"]["data"] == {"user": "bob", "server_name": "then"}
    assert "/user/bob/then/" not in (await hubbub("as-of", "now", "routes")).out
    names = [each["name"] for each in (await hubbub("as-of", during, "users", "--json")).json]
    assert "late" not in names
    assert "late" in (await hubbub("as-of", "now", "users")).out
    stopped = (await hubbub("as-of", "now", "servers", "--stopped", "--json")).json
    assert ("bob", "then") in {(each["user"], each["name"]) for each in stopped}
    assert (await hubbub.house.api("DELETE", "/users/late"))[0] == 204


# What happened ------------------------------------------------------------------------------


async def test_the_log_is_shown_from_its_end_and_filtered(hubbub: Terminal) -> None:
    await hubbub("pause", "for the log")
    await hubbub("resume")
    lines = (await hubbub("events", "--limit", "5")).out.splitlines()
    assert len(lines) == 5
    positions = [int(line.split()[0]) for line in lines]
    assert positions == list(range(positions[0], positions[0] + 5))
    [paused] = [line for line in (await hubbub("events")).out.splitlines() if "for the log" in line]
    assert "StartsPaused" in paused
    assert "admin" in paused
    found = (await hubbub("events", "--type", "StartsPaused,StartsResumed", "--json")).records
    assert {each["type"] for each in found} == {"StartsPaused", "StartsResumed"}
    of_bob = (await hubbub("events", "--user", "bob", "--all", "--json")).records
    assert {each["user"]["name"] for each in of_bob if each["user"]} == {"bob"}
    of_server = (await hubbub("events", "--server", "bob/then", "--all", "--json")).records
    assert {each["server"]["name"] for each in of_server if each["server"]} == {"then"}
    assert [each["position"] for each in of_server] == sorted(each["position"] for each in of_server)
    everything = (await hubbub("events", "--all", "--json")).records
    assert [each["position"] for each in everything] == list(range(1, len(everything) + 1))
    assert (await hubbub("events", "--since", "1h", "--until", "in 1h", "--json")).records[0] == everything[0]


async def test_it_is_followed_whatever_breaks(hubbub: Terminal) -> None:
    async with hubbub.running("events", "--follow", "--json", "--limit", "0", "--type", "BannerPut") as following:
        assert following.stdout

        async def next_text() -> str:
            async with asyncio.timeout(PATIENCE):
                return str(json.loads(await following.stdout.readline())["data"]["text"])

        async def put(text: str) -> None:
            status, body = await hubbub.house.api("PATCH", "/house", {"banner": {"text": text}}, token=admin)
            assert status == 200, body

        admin = (await hubbub("token", "admin")).out.splitlines()[-1]
        # It says nothing of when it has begun: put up another until it is heard of.
        first = asyncio.create_task(next_text())
        number = 0
        while not first.done():
            number += 1
            await put(f"banner {number}")
            await asyncio.wait({first}, timeout=0.5)
        heard = [await first]
        while heard[-1] != f"banner {number}":
            heard.append(await next_text())
        assert heard == [f"banner {each}" for each in range(number - len(heard) + 1, number + 1)]
        for api in ("api-1", "api-2"):
            hubbub.house.kill(api)
        for text in ("after the end", "and once more"):

            async def is_put(text: str = text) -> bool:
                try:
                    await put(text)
                except (AssertionError, OSError):
                    return False
                return True

            await eventually(is_put, PATIENCE, "an api is back")
        assert [await next_text(), await next_text()] == ["after the end", "and once more"]
        assert (await hubbub.house.api("PATCH", "/house", {"banner": None}, token=admin))[0] == 200
        following.send_signal(signal.SIGTERM)
        await following.communicate()


async def test_where_the_time_of_a_start_went(hubbub: Terminal) -> None:
    assert (await hubbub("start", "ada/slow", "--options", '{"delay": 2}')).status == 0
    assert (await hubbub("stop", "ada/slow")).status == 0
    drawn = (await hubbub("trace", "ada/slow")).out
    assert drawn.startswith("ada/slow, start 1, asked for at ")
    assert "█" in drawn
    found = (await hubbub("trace", "ada/slow", "--attempt", "1", "--json")).json
    assert found["seconds"] > 2
    assert [line for line in drawn.splitlines() if found["phases"][0]["title"] in line]
    [row] = (await hubbub("trace", "ada/slow", "--list", "--json")).json
    assert (row["attempt"], row["by"]["name"]) == (1, "admin")
    assert (await hubbub("trace", "ada/slow", "--list")).out.splitlines()[0].split() == [
        "START",
        "ASKED",
        "TOOK",
        "OUTCOME",
        "BY",
    ]


# Who asks -----------------------------------------------------------------------------------


async def test_on_the_hubs_machine_a_token_is_lent_and_given_back(hubbub: Terminal) -> None:
    await hubbub("status")
    assert await lent(hubbub) == []
    shown = (await hubbub("events", "--type", "TokenIssued,TokenRevoked", "--json", "--limit", "3")).records
    issued, given_back, _ = shown
    assert (issued["type"], given_back["type"], given_back["data"]["reason"]) == (
        "TokenIssued",
        "TokenRevoked",
        "given back",
    )


async def test_so_it_is_if_somebody_ends_the_command(hubbub: Terminal) -> None:
    for number, status in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
        async with hubbub.running("events", "--follow") as following:
            assert following.stdout
            async with asyncio.timeout(PATIENCE):
                await following.stdout.readline()
            assert len(await lent(hubbub)) == 1
            following.send_signal(number)
            async with asyncio.timeout(PATIENCE):
                _, err = await following.communicate()
        assert (following.returncode, err.decode()) == (status, "")
        assert await lent(hubbub) == []


async def lent(hubbub: Terminal) -> list[Any]:
    tokens = (await hubbub.house.api("GET", "/users/admin/tokens"))[1]["api_tokens"]
    return [each["id"] for each in tokens if "for a moment" in (each["note"] or "")]


async def test_from_anywhere_with_a_token(hubbub: Terminal) -> None:
    admin = (await hubbub("token", "admin")).out.splitlines()[-1]
    url = hubbub.house.url
    for place in (url, f"{url}hub", f"{url}hub/api/"):
        said = await hubbub("status", "--json", "--url", place, here=False, HUBBUB_TOKEN=admin)
        assert said.json["url"] == url
    said = await hubbub("users", "--json", here=False, JUPYTERHUB_API_URL=f"{url}hub/api", JUPYTERHUB_API_TOKEN=admin)
    assert len(said.json) == 3
    assert await lent(hubbub) == []


@pytest.mark.parametrize(
    ("environ", "why"),
    [
        ({"HUBBUB_TOKEN": TOKEN}, "not allowed: this token lacks the scope admin-ui"),
        ({"HUBBUB_TOKEN": "none"}, "the hub does not know this token"),
        ({}, "there is no token: put one into the environment, as HUBBUB_TOKEN"),
    ],
)
async def test_whoever_may_not_is_told_what_is_missing(hubbub: Terminal, environ: dict[str, str], why: str) -> None:
    said = await hubbub("pause", "--url", hubbub.house.url, here=False, **environ)
    assert (said.status, said.out) == (1, "")
    assert said.err.startswith(f"hubbub: {why}")


async def test_a_hub_that_is_not_there_is_one_line(hubbub: Terminal, tmp_path: Path) -> None:
    said = await hubbub("status", "--url", "http://127.0.0.1:9", here=False, HUBBUB_TOKEN="x")
    assert said.status == 1
    assert said.err.startswith("hubbub: cannot reach the hub at http://127.0.0.1:9/hub/api: ")
    said = await hubbub("status", "--data", str(tmp_path), here=False)
    assert (said.status, "no hub is running on the data folder" in said.err) == (1, True)
    said = await hubbub("status", "--url", "hub.example.org", here=False, HUBBUB_TOKEN="x")
    assert (said.status, "is no address of a hub" in said.err) == (1, True)
