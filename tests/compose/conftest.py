"""Tests of the hub in containers: with an engine of their own, and the files that a user has."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

HERE = Path(__file__).parent
for folder in (HERE.parent / "integration", HERE.parent / "system", HERE):
    sys.path.insert(0, str(folder))

from compose_hub import ComposeHub, made  # noqa: E402

SCALE = "api=2,auth=2,spawner-worker=4,proxy-sync=2,poller=2"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ComposeHub]:
    """One hub for all tests here, with several of each service: every test leaves it whole."""
    hub = made(tmp_path_factory.mktemp("containers"), HERE / "config_faults.py", SCALE, {})
    try:
        await hub.start()
        yield hub
    finally:
        await hub.close()
