"""What a process is told by its environment, or by files that it names."""

from pathlib import Path

import pytest

from hubbub.settings import BAD_CONFIGURATION, Settings


def test_a_secret_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("secret\n")
    (tmp_path / "token").write_text("of-the-proxy\n")
    environ = {"HUBBUB_BUS_KEY_FILE": str(tmp_path / "key"), "CONFIGPROXY_AUTH_TOKEN_FILE": str(tmp_path / "token")}
    settings = Settings.from_environ(environ, needs=("bus_key",))
    assert settings.bus_key == "secret"
    assert settings.proxy_auth_token == "of-the-proxy"


def test_what_is_said_itself_wins_over_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("old")
    environ = {"HUBBUB_BUS_KEY": "new", "HUBBUB_BUS_KEY_FILE": str(tmp_path / "key")}
    assert Settings.from_environ(environ).bus_key == "new"


def test_a_file_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        Settings.from_environ({"HUBBUB_BUS_KEY_FILE": str(tmp_path / "no")})
    assert left.value.code == BAD_CONFIGURATION
    said = capsys.readouterr().err
    assert "HUBBUB_BUS_KEY_FILE" in said and str(tmp_path / "no") in said
