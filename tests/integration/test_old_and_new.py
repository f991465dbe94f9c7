"""A house is upgraded from the first release, service by service, and back: whoever works in it does not notice."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from browser import Browser
from burst import pids
from checks import all_ready, five_checks, rows
from hubbub import __version__
from releases import OLD, SERVICES, Mixture
from rolling import told
from stack import HERE, Hub, eventually, hub

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

#: Who has a server all the time, and at which it is found.
LASTING = ["ada", "bob", "eve"]
PASSWORD = "password-of-everyone"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mixture(tmp_path_factory: pytest.TempPathFactory) -> Mixture:
    return Mixture(tmp_path_factory.mktemp("mixture") / "of")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory, mixture: Mixture) -> AsyncIterator[Hub]:
    """On a folder that the first release has made, with servers that have been running since then."""
    data = tmp_path_factory.mktemp("hub") / "data"
    async with hub(data, config=HERE / "config_old_and_new.py", environ=mixture.environ, start=False) as it:
        mixture.old("", *SERVICES)
        await it.start()
        assert (await it.command("restart"))[0] == 2  # it has no such command
        await live(it, "first")
        for name in LASTING:
            await it.user(name)
            assert (await it.api("POST", f"/users/{name}/server"))[0] == 201
        await five_checks(it)
        await it.stop()
        yield it


async def live(it: Hub, word: str) -> None:
    """A little of everything that people do; *word* is new each time."""
    name, renamed = f"user-{word}", f"renamed-{word}"
    await it.user(name)
    status, made = await it.api("POST", f"/users/{name}/tokens", {"note": word})
    assert status == 201, made
    token = made["token"]
    assert (await it.api("POST", f"/users/{name}/server", {"user_options": {"delay": 0.2}}))[0] == 201
    assert (await it.api("POST", f"/users/{name}/servers/lab"))[0] == 201
    assert await it.standin(name, "lab")
    status, model = await it.api("GET", "/user", token=token)
    assert (status, sorted(model["servers"])) == (200, ["", "lab"]), model
    assert (await it.api("POST", f"/groups/{word}"))[0] == 201
    assert (await it.api("POST", f"/groups/{word}/users", {"users": [name]}))[0] == 200
    status, shared = await it.api("POST", f"/shares/{name}/lab", {"group": word})
    assert status == 200, shared
    assert (await it.api("POST", f"/users/{name}/activity", {"last_activity": "2026-11-21T12:00:00Z"}))[0] == 200
    async with Browser(it.url) as browser:
        assert (await browser.login(name, PASSWORD))[0] == 200
        assert browser.url.path == f"/user/{name}/"
        assert (await browser.get("/hub/home"))[0] == 200
        assert (await browser.get("/hub/token"))[0] == 200
    status, refused = await it.api("POST", f"/users/{name}/servers/bad", {"user_options": {"fail": 3}})
    assert status in (400, 500), refused
    assert (await it.api("DELETE", f"/users/{name}/servers/lab", {"remove": True}))[0] in (202, 204)
    assert (await it.api("DELETE", f"/users/{name}/server"))[0] in (202, 204)
    await eventually(lambda: _is_stopped(it, name), 20, f"{name} stopped")
    assert (await it.api("PATCH", f"/users/{name}", {"name": renamed}))[0] == 200
    status, model = await it.api("GET", "/user", token=token)
    assert (status, model["name"]) == (200, renamed)
    assert (await it.api("DELETE", f"/users/{renamed}/tokens/{made['id']}", token=token))[0] == 204
    assert (await it.api("GET", "/user", token=token))[0] == 403
    if word.endswith("s"):
        assert (await it.api("DELETE", f"/users/{renamed}"))[0] == 204


async def _is_stopped(it: Hub, name: str) -> bool:
    model = await it.model(name)
    return not any(server["ready"] or server["pending"] for server in model["servers"].values())


async def _all_is_well(it: Hub, mixture: Mixture, before: dict[str, int]) -> None:
    """The five checks, with `verify` of both releases; and everybody has the server that they had."""
    await five_checks(it)
    mixture.old("")
    status, output = await it.command("verify")
    mixture.new("")
    assert status == 0, output
    assert await pids(it, LASTING) == before


async def _releases(it: Hub) -> set[str]:
    """Of those who write the log."""
    seen = await rows(it, "select distinct application_name from pg_stat_activity where application_name ~ '^hubbub-h'")
    return {row[0].partition("/")[2] or OLD for row in seen}


async def test_a_newer_release_takes_over_the_folder_and_its_services_follow_one_by_one(house: Hub, mixture: Mixture):
    """`hubbub up` is of this release first, and its services of the one before."""
    mixture.new("")
    await house.start()
    await all_ready(house, LASTING, 20)
    before = await pids(house, LASTING)
    assert all(before.values())
    assert await _releases(house) == {OLD}
    for service in SERVICES:
        mixture.new(service)
        status, output = await house.command("restart", service)
        assert (status, list(told(output))) == (0, [f"{service}-1"]), output
        await live(house, f"with-{service}")
    assert await _releases(house) == {__version__}
    await _all_is_well(house, mixture, before)


@pytest.mark.long
async def test_its_services_may_go_back(house: Hub, mixture: Mixture):
    """As long as nothing was written that only this release has. On the way workers are newer than their api."""
    before = await pids(house, LASTING)
    for service in SERVICES:
        mixture.old(service)
        status, output = await house.command("restart", service)
        assert (status, list(told(output))) == (0, [f"{service}-1"]), output
        await live(house, f"back-{service}")
    assert await _releases(house) == {OLD}
    await _all_is_well(house, mixture, before)


@pytest.mark.long
async def test_an_older_release_does_not_take_over_the_folder(house: Hub, mixture: Mixture):
    mixture.new(*SERVICES)
    await house.stop()
    mixture.old("", *SERVICES)
    with pytest.raises(AssertionError, match="a newer Hubbub has used it"):
        await house.start()
    mixture.new("", *SERVICES)
    await house.start()
    await five_checks(house)
