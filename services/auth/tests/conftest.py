"""A hub's auth, served over HTTP on a database of its own, and a browser in front of it."""

import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from hubbub.testing.postgres import Database
from hubbub_auth.testing import Browser, House, RunningServer

sys.path.insert(0, str(Path(__file__).parent))  # for the doubles of providers

from github_double import GitHubDouble
from openid_double import OpenIDDouble


@pytest.fixture
async def house(database: Database) -> AsyncIterator[House]:
    """Makes what a test asks for, and ends it."""
    async with AsyncExitStack() as stack:
        yield House(stack, database)


@pytest.fixture
async def browser(house: House) -> Browser:
    """A browser in front of a hub with the dummy authenticator."""
    return await house.browser()


@pytest.fixture
async def server(house: House, browser: Browser) -> RunningServer:
    """Ada, logged in, with a server that runs."""
    await browser.log_in("ada")
    return await house.start("ada")


@pytest.fixture
async def double() -> AsyncIterator[OpenIDDouble]:
    """An OpenID provider that does as it is told."""
    double = OpenIDDouble()
    await double.server.start_server()
    yield double
    await double.server.close()


@pytest.fixture
async def github() -> AsyncIterator[GitHubDouble]:
    github = GitHubDouble()
    await github.server.start_server()
    yield github
    await github.server.close()
