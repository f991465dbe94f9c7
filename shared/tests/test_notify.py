"""systemd hears when a service is ready, if it wants to."""

import socket
from pathlib import Path

import pytest

from hubbub import notify


@pytest.mark.parametrize("abstract", [False, True])
def test_who_has_started_us_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, abstract: bool) -> None:
    name = f"hubbub-{tmp_path.name}-{id(tmp_path)}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(f"\0{name}" if abstract else str(tmp_path / "s"))
        heard.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}" if abstract else str(tmp_path / "s"))
        notify.tell(notify.READY)
        assert heard.recv(100) == b"READY=1"


def test_nobody_is_told_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify.tell(notify.READY)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    notify.tell(notify.ALIVE)
