"""The commands beside `hubbub up`, and what a person sees."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from hubbub_local import board, cli, running, screen
from hubbub_local.child import Status
from hubbub_local.errors import StackError
from hubbub_local.folder import Folder
from hubbub_local.running import Running

HUB = Running(
    public_url="p",
    hub_url="h",
    owner_dsn="o",
    api_dsn="a",
    nats_url="n",
    vault_key="v",
    admin_users=["admin"],
    workers={
        pool: {"HUBBUB_POOL": pool, "HUBBUB_NATS_URL": f"nats://pool-{pool}:pw@127.0.0.1:4222"}
        for pool in ("default", "gpu")
    },
)


@pytest.mark.parametrize(
    "command",
    [["token", "ada"], ["password", "ada"], ["events"], ["status"], ["verify"], ["rotate"], ["worker", "env"]],
)
def test_a_hub_that_is_not_running_is_an_error_that_says_how_to_start_it(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*command, "--data", str(tmp_path)]) == 1
    assert f"no hub is running on the data folder {tmp_path}: start it with" in capsys.readouterr().err


def test_a_running_hub_is_found_by_its_folder(data: Folder) -> None:
    HUB.save(data)
    assert running.of(data.root) == HUB
    assert data.stack.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        ([], ["HUBBUB_POOL=default", "HUBBUB_NATS_URL=nats://pool-default:pw@127.0.0.1:4222"]),
        (["gpu"], ["HUBBUB_POOL=gpu", "HUBBUB_NATS_URL=nats://pool-gpu:pw@127.0.0.1:4222"]),
        (["gpu", "--nats", "bus:1"], ["HUBBUB_POOL=gpu", "HUBBUB_NATS_URL=nats://pool-gpu:pw@bus:1"]),
    ],
)
def test_a_worker_elsewhere_is_told_what_it_needs(
    arguments: list[str], lines: list[str], data: Folder, capsys: pytest.CaptureFixture[str]
) -> None:
    HUB.save(data)
    assert cli.main(["worker", "env", *arguments, "--data", str(data.root)]) == 0
    assert capsys.readouterr().out.splitlines() == lines


def test_a_pool_that_is_not_there_is_named(data: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    HUB.save(data)
    assert cli.main(["worker", "env", "tpu", "--data", str(data.root)]) == 1
    assert "there is no pool 'tpu'; there are default, gpu" in capsys.readouterr().err


def test_a_hub_that_was_killed_is_not_running(data: Folder) -> None:
    HUB.save(data)
    data.stack.write_text(data.stack.read_text().replace('"started": ', '"started": 1'))
    with pytest.raises(StackError, match="no hub is running"):
        running.of(data.root)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--scale", "hub=2"], "there is no service 'hub'"),
        (["--port", "x"], "'x' is not a port number from 0 to 65535"),
    ],
)
def test_a_wrong_argument_is_named(arguments: list[str], why: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["up", *arguments])
    assert why in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["start", "ada", "--options", "[1]"], "options are an object"),
        (["start", "ada", "--options", "{"], "that is no JSON"),
        (["start", "ada", "--timeout", "soon"], "is no duration"),
        (["events", "--limit", "-1"], "is no number"),
        (["trace", "ada", "--attempt", "x"], "is no number"),
        (["banner", "x", "--until", "whenever"], "is no time like"),
        (["drain", "w1", "--in", "soon"], "is no duration"),
        (["as-of", "whenever", "users"], "is no time like"),
        (["as-of", "now", "tokens"], "invalid choice: 'tokens'"),
    ],
)
def test_so_it_is_with_what_a_hub_is_asked(arguments: list[str], why: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ending:
        cli.main(arguments)
    assert ending.value.code == 2
    assert why in capsys.readouterr().err


def test_a_missing_configuration_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["up", "--port", "0", "--data", str(tmp_path / "data"), "-f", str(tmp_path / "none.py")]
    assert cli.main(arguments) == 1
    assert f"hubbub: there is no configuration file {tmp_path / 'none.py'}" in capsys.readouterr().err


def test_changes_are_lines_where_there_is_no_terminal() -> None:
    output = io.StringIO()
    with screen.on(output) as shown:
        shown.show(Status(name="nats", state="up", where="127.0.0.1:4222", pid=7))
        shown.show(Status(name="api-1", state="down", where="", note="exited with 1"))
    assert output.getvalue().splitlines() == [
        "nats: up (process 7) at 127.0.0.1:4222",
        "api-1: down (exited with 1)",
    ]


def test_the_table_has_a_row_for_each_child_and_shows_brackets_as_they_are() -> None:
    shown = [
        Status(name="nats", state="up", where="a", pid=7),
        Status(name="api-1", state="down", where="b", note="[red]"),
    ]
    console = Console(file=io.StringIO(), width=100)
    with console.capture() as capture:
        console.print(board.table(shown))
    lines = [line.split() for line in capture.get().splitlines()[1:]]
    assert lines == [["nats", "up", "7", "a"], ["api-1", "down", "b", "[red]"]]


@pytest.mark.parametrize("command", [name for known in cli.KNOWN_BY.values() for name in known])
def test_each_command_is_known_where_it_is_looked_for(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([command, "--help"])
    assert ended.value.code == 0
    assert f"usage: hubbub {command} " in capsys.readouterr().out


def test_no_other_is_known_anywhere() -> None:
    [commands] = [action for action in cli.parser()._actions if isinstance(action.choices, dict)]
    assert commands.choices is not None
    assert sorted(commands.choices) == sorted(name for known in cli.KNOWN_BY.values() for name in known)
