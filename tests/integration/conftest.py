"""Lets the integration tests import what they share, and gives most of them one hub together."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from stack import Hub, hub  # noqa: E402


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Hub]:
    """A hub of its own for one test."""
    async with hub(tmp_path / "data") as made:
        yield made
