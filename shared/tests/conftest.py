"""Fixtures: a bus of one's own. Hypothesis takes its time: how fast an example is says nothing here."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from hubbub.testing.nats import NatsServer

settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[NatsServer]:
    """A running nats-server with two pools."""
    server = NatsServer(tmp_path, pools=["default", "gpu"])
    server.start()
    yield server
    server.kill()


@pytest.fixture
def jetstream_folder(tmp_path: Path) -> Path:
    """Where that server keeps its streams."""
    return tmp_path / "jetstream"
