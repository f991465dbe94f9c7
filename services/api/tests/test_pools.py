"""Starts over HTTP: in which pool, for whom, refused or queued, and what one who waits is told."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from traitlets.config import Config

from hubbub.config import Options
from hubbub.domain.server_messages import ClaimAttempt
from hubbub.eventlog import Context
from hubbub.service import end
from hubbub.views import SERVERS
from hubbub_api import keys
from hubbub_api.places import Place
from hubbub_api.progress import place_frame

POOLS = {
    "lab": {"users": ["Ada"], "groups": ["physics"]},
    "gpu": {"profiles": ["large"]},
    "containers": {"spawners": ["DockerSpawner"]},
}
PROFILES = [("In a container", "box", "dockerspawner.DockerSpawner", {}), ("Here", "here", "simple", {})]


@pytest.fixture
def options(request: pytest.FixtureRequest) -> Options:
    """Indirectly: those of `c.JupyterHub` and of `c.Hubbub`."""
    hub, ours = getattr(request, "param", ({}, {}))
    traits = Config({"JupyterHub": hub, "Hubbub": {"slow_spawn_timeout": 0, "pools": POOLS, **ours}})
    traits.ProfilesSpawner.profiles = PROFILES
    return Options(traits)


@pytest.fixture
async def root(house: Any) -> str:
    """A token of an administrator; there are ada, bob and cleo, who is in the group physics, too."""
    for name in ("ada", "bob", "cleo"):
        await house.person(name)
    await house.person("root", admin=True)
    token: str = await house.token("root")
    await house.ask("/hub/api/groups/physics", token=token, method="POST", json={"users": ["cleo"]})
    return token


async def start(house: Any, token: str, name: str, options: dict[str, Any] | None = None) -> int:
    body = {"json": options} if options is not None else {}
    answer = await house.ask(f"/hub/api/users/{name}/server", token=token, method="POST", **body)
    return int(answer.status)


async def row_of(house: Any, name: str) -> Any:
    return await house.pool.fetchrow(
        "select s.* from servers s join users u on u.id = s.user_id where u.name = $1 and s.name = ''", name
    )


# Where it starts ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "user_options", "pool"),
    [
        ("bob", None, "default"),
        ("bob", {}, "default"),
        ("bob", {"profile": "large"}, "gpu"),
        ("bob", {"profile": "small"}, "default"),
        ("bob", {"profile": ["large"]}, "default"),
        ("bob", {"profile": "box"}, "containers"),
        ("bob", {"profile": "here"}, "default"),
        ("ada", {"profile": "large"}, "lab"),
        ("cleo", None, "lab"),
    ],
)
async def test_a_start_goes_to_the_first_pool_that_names_something_of_it(
    house: Any, root: str, name: str, user_options: dict[str, Any] | None, pool: str
) -> None:
    assert await start(house, root, name, user_options) == 202
    assert (await row_of(house, name))["pool"] == pool


async def test_the_options_of_the_last_start_say_where_it_starts_again(house: Any, root: str) -> None:
    await start(house, root, "bob", {"profile": "large"})
    assert (await house.ask("/hub/api/users/bob/server", token=root, method="DELETE")).status in (202, 204)
    assert (await row_of(house, "bob"))["pool"] is None
    await start(house, root, "bob")
    assert (await row_of(house, "bob"))["pool"] == "gpu"


async def test_who_asks_is_who_takes_turns(house: Any, root: str) -> None:
    await start(house, root, "bob")
    await start(house, await house.token("ada"), "ada")
    root_id, ada_id = [(await house.views.user(name)).id for name in ("root", "ada")]
    assert [(await row_of(house, name))["asker"] for name in ("bob", "ada")] == [root_id, ada_id]


# Refused, or queued -------------------------------------------------------------------------

TWO = {"concurrent_spawn_limit": 2}


@pytest.mark.parametrize("options", [(TWO, {})], indirect=True)
async def test_one_too_many_is_refused(house: Any, root: str) -> None:
    assert [await start(house, root, name) for name in ("ada", "bob", "cleo")] == [202, 202, 429]
    assert await row_of(house, "cleo") is None


@pytest.mark.parametrize("options", [(TWO, {"queue_spawns": True})], indirect=True)
async def test_with_a_queue_it_waits(house: Any, root: str) -> None:
    assert [await start(house, root, name) for name in ("ada", "bob", "cleo")] == [202] * 3
    row = await row_of(house, "cleo")
    assert (row["kind"], row["holder"]) == ("Spawning", None)
    answer = await house.ask("/hub/api/users/cleo/server", token=root)
    assert (await answer.json())["pending"] == "spawn"


@pytest.mark.parametrize("options", [({**TWO, "active_server_limit": 2}, {"queue_spawns": True})], indirect=True)
async def test_no_queue_is_for_what_there_may_not_be_at_all(house: Any, root: str) -> None:
    assert [await start(house, root, name) for name in ("ada", "bob", "cleo")] == [202, 202, 429]


# What one who waits is told -----------------------------------------------------------------


async def frame(answer: Any) -> dict[str, Any]:
    """The next of a stream."""
    async with asyncio.timeout(20):
        async for line in answer.content:
            if line.startswith(b"data: "):
                found: dict[str, Any] = json.loads(line[6:])
                return found
    raise AssertionError("the stream has ended")


async def test_the_place_in_the_queue_is_told_as_it_changes(house: Any, root: str) -> None:
    app = house.client.app
    follower = app[keys.FOLLOWER]
    follower.tell(app[keys.PLACES].hear)
    following = asyncio.create_task(follower.run())
    for name in ("bob", "ada", "cleo"):
        await start(house, await house.token(name), name, {"profile": "large"} if name != "ada" else None)
    answer = await house.ask("/hub/api/users/cleo/server/progress", token=root)
    assert await frame(answer) == {"progress": 0, "message": "Server requested"}
    # Of cleo's pool, physics', she is the second.
    said = await frame(answer)
    assert said == {
        "progress": 0,
        "message": "Waiting for a free worker: place 2 of 2",
        "place": 2,
        "of": 2,
    }
    soon = datetime.now(UTC) + timedelta(minutes=1)
    claim = ClaimAttempt(attempt=1, worker="w1", host="h", token=uuid4().hex, deadline=soon)
    await house.committer.execute(SERVERS, (await row_of(house, "ada"))["id"], claim, Context.of("worker:w1"))
    assert (await frame(answer))["place"] == 1
    await house.ask("/hub/api/users/cleo/server", token=root, method="DELETE")
    assert (await frame(answer))["failed"]
    await end(following)


def test_a_queue_that_moves_lets_one_guess_the_time() -> None:
    assert place_frame(Place(place=3, of=12, seconds=40)) == {
        "progress": 0,
        "message": "Waiting for a free worker: place 3 of 12, about 40 s",
        "place": 3,
        "of": 12,
        "seconds": 40,
    }
