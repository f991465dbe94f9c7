"""The data folder belongs to one hub at a time, and to a release that knows it."""

import os
from pathlib import Path

import pytest

from hubbub_local import folder
from hubbub_local.errors import StackError


def test_a_new_folder_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    with folder.take(tmp_path / "deep" / "data") as data:
        assert data.root.stat().st_mode & 0o777 == 0o700
        assert data.logs.is_dir()


def test_a_folder_is_found_again(tmp_path: Path) -> None:
    with folder.take(tmp_path / "data") as data:
        (data.root / "kept").write_text("here")
    with folder.take(tmp_path / "data") as data:
        assert (data.root / "kept").read_text() == "here"


def test_a_folder_in_use_is_refused_and_its_holder_named(tmp_path: Path) -> None:
    with (
        folder.take(tmp_path / "data"),
        pytest.raises(StackError, match=f"in use by another hubbub .process {os.getpid()}."),
        folder.take(tmp_path / "data"),
    ):
        pass


def test_a_folder_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "version").write_text("7\n")
    with (
        pytest.raises(StackError, match="layout version 7, and this Hubbub knows versions up to 1"),
        folder.take(tmp_path),
    ):
        pass
    assert (tmp_path / "version").read_text() == "7\n"


def test_a_folder_without_a_readable_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "version").write_text("one")
    with pytest.raises(StackError, match="should hold a number and holds 'one'"), folder.take(tmp_path):
        pass


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(StackError, match=r"is not a data folder of Hubbub.*thesis\.tex"), folder.take(tmp_path):
        pass


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    with pytest.raises(StackError, match=r"cannot use the data folder .*data"), folder.take(tmp_path / "data"):
        pass


def test_a_private_file_is_whole_and_private(tmp_path: Path) -> None:
    folder.write_private(tmp_path / "secret", "first")
    folder.write_private(tmp_path / "secret", "second")
    assert (tmp_path / "secret").read_text() == "second"
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["secret"]
