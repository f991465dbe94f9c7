"""One hub of each kind for all tests of the contract."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

sys.path.insert(0, str(Path(__file__).parent))

from targets import TARGETS, Target

from stack import CONTAINERS


@pytest_asyncio.fixture(
    scope="session",
    loop_scope="session",
    params=["hubbub", *([] if CONTAINERS else [pytest.param("jupyterhub", marks=pytest.mark.long)])],
)
async def target(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> AsyncIterator[Target]:
    """The hub, shared by all tests: each makes users and groups of its own."""
    async with TARGETS[request.param](tmp_path_factory.mktemp(request.param) / "data") as made:
        yield made
