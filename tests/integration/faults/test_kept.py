"""The log is archived while people work; the database is lost; a backup brings the hub back, with its servers."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest

from burst import ask, settle_in, start
from checks import all_ready, five_checks, rows
from hubbub.keeping import files
from stack import Hub, eventually, hub

PEOPLE = ["ada", "bob", "eve", "ida", "kay"]


async def pids(it: Hub) -> dict[str, int]:
    """Of each server that runs, by its prefix."""
    return {each.environ()["JUPYTERHUB_SERVICE_PREFIX"]: each.pid for each in it.workloads()}


async def start_and_wait(it: Hub, *names: str) -> None:
    await asyncio.gather(*(start(it, name) for name in names))
    await all_ready(it, list(names), 30)


async def done(it: Hub, *arguments: str) -> str:
    """`hubbub ...` on its folder; what it said."""
    status, output = await it.command(*arguments, seconds=90)
    assert status == 0, output
    return output


async def head(it: Hub) -> int:
    [row] = await rows(it, "select position from log_head")
    return int(row["position"])


async def operator(it: Hub) -> str:
    """A token that sees all events."""
    return (await done(it, "token", "admin")).splitlines()[-1]


async def cursor(it: Hub, token: str) -> str:
    """A place in its log, as a listener has it."""
    _, page = await it.api("GET", "/events?limit=1", token=token)
    return str(page["items"][0]["id"])


async def listens(it: Hub, token: str, last: str) -> int:
    headers = {"Authorization": f"token {token}", "Accept": "text/event-stream", "Last-Event-ID": last}
    async with it.session.get(f"{it.url}hub/api/events", headers=headers) as answer:
        return answer.status


def lose_the_database(it: Hub) -> None:
    """And what the bus had of it."""
    for folder in ("postgres", "nats"):
        shutil.rmtree(it.data / folder)


@pytest.mark.timeout(240)
async def test_a_hub_that_lost_its_database_is_brought_back_with_the_servers_that_run(tmp_path: Path) -> None:
    async with hub(tmp_path / "data", environ={"TEST_CLEANUP": "0"}) as it:
        await settle_in(it, PEOPLE)
        await start_and_wait(it, "ada", "bob")
        token = await operator(it)
        before, first = await pids(it), await cursor(it, token)

        # The old part of the log goes, and nobody notices.
        said = await done(it, "archive", str(tmp_path / "archive"), "--before", str(await head(it) - 1), "--unread")
        assert "the log begins with" in said
        await five_checks(it)
        assert await pids(it) == before
        _, page = await it.api("GET", "/events?limit=1000", token=token)
        assert (await it.api("GET", "/events?after=0", token=token))[0] == 410
        assert await listens(it, token, first.partition(":")[0] + ":1") == 410
        assert await listens(it, token, first) == (200 if int(first.partition(":")[2]) >= page["oldest"] - 1 else 410)
        assert page["items"][-1]["position"] == page["oldest"] > 1

        # What comes after the backup is lost, but for the people who are forgotten.
        await done(it, "backup", str(tmp_path / "backup"), "--with-secrets")
        last = await cursor(it, token)
        await start_and_wait(it, "eve")
        assert (await ask(it, "DELETE", "/users/bob/server"))[0] in (202, 204)
        kay = (await rows(it, "select id from users where name = 'kay'"))[0]["id"]
        assert (await ask(it, "DELETE", "/users/kay"))[0] == 204
        (tmp_path / "forgotten").write_text(f"{kay}\n")
        await eventually(lambda: _are_left(it, 2), 30, "bob's server has ended")
        assert await it.stop() == 0
        assert len(it.workloads()) == 2

        lose_the_database(it)
        config = it.arguments[it.arguments.index("--config") + 1]
        folders = [str(tmp_path / "backup"), str(tmp_path / "archive")]
        said = await done(it, "restore", *folders, "--forgotten", str(tmp_path / "forgotten"), "--config", config)
        assert "the log and every view of it are whole" in said
        assert "1 users are forgotten by now" in said

        await it.start()
        await all_ready(it, ["ada"], 30)
        await five_checks(it)
        # ada's is hers as before; bob's has ended; of eve's nobody knows, so it was ended.
        assert await pids(it) == {prefix: pid for prefix, pid in before.items() if "/ada/" in prefix}
        await eventually(lambda: _is_gone(it, "forgotten"), 30, "kay is deleted")
        assert await listens(it, token, last) == 410, "the log is another one"
        await start_and_wait(it, "bob", "eve", "ida")
        await five_checks(it)
        assert len(it.workloads()) == 4
        assert len({files.check(Path(folder)).key for folder in folders}) == 1


async def _are_left(it: Hub, number: int) -> bool:
    return len(it.workloads()) == number


async def _is_gone(it: Hub, part: str) -> bool:
    _, users = await it.api("GET", "/users")
    names: list[Any] = [user["name"] for user in users]
    return not any(part in name for name in names) and len(names) >= len(PEOPLE) - 1
