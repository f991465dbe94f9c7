"""Lets the integration tests import what they share, and gives most of them one hub together."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

sys.path.insert(0, str(Path(__file__).parent))

from stack import Hub, hub


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Hub]:
    """A hub of its own for one test."""
    async with hub(tmp_path / "data") as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hub]:
    """One hub for all the tests of a module that leave it as it was."""
    async with hub(tmp_path_factory.mktemp("hub") / "data") as made:
        yield made
