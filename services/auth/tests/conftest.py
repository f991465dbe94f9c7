"""A hub's auth, served over HTTP on a database of its own, and a browser in front of it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from hubbub.testing.postgres import Database
from hubbub_auth.testing import Browser, House, RunningServer


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
