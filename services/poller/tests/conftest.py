"""Fixtures: a bus of one's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hubbub.testing.nats import NatsServer


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[NatsServer]:
    """A running nats-server."""
    server = NatsServer(tmp_path)
    server.start()
    yield server
    server.kill()
