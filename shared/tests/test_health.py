"""A service without a port says that it works by a file that it touches."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hubbub import health, service
from hubbub.settings import Settings
from hubbub.testing.eventually import eventually


@pytest.fixture
def pulse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "pulse"
    monkeypatch.setenv("HUBBUB_PULSE", str(path))
    return path


def test_what_was_never_ready_is_not_well(pulse: Path) -> None:
    health.beat()
    assert health.complaint(0) == "not ready yet"


def test_what_is_silent_for_too_long_hangs(pulse: Path) -> None:
    health.ready()
    os.utime(pulse, (1000, 1000))
    assert health.complaint(1000 + health.TOO_OLD) == ""
    assert health.complaint(1040) == "it has done nothing for 40 s"


def test_the_check_is_a_program(pulse: Path) -> None:
    check = [sys.executable, "-m", "hubbub.health"]
    sick = subprocess.run(check, capture_output=True, text=True, check=False)
    assert (sick.returncode, sick.stderr) == (1, "not ready yet\n")
    health.ready()
    assert subprocess.run(check, check=False).returncode == 0


def test_a_service_beats_from_when_it_is_ready(pulse: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "EVERY_SECONDS", 0.01)
    pulse.touch()  # left by one that was killed

    async def main(stop: asyncio.Event) -> None:
        assert health.complaint(0) == "not ready yet"
        service.announce("tester")
        os.utime(pulse, (1000, 1000))
        await eventually(lambda: pulse.stat().st_mtime > 1000)

    service.run("tester", Settings(instance="t-1"), main, "INFO")
