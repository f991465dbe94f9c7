"""Servers' logs: kept small, and read by nobody's leave but the id's."""

import os

import pytest

from hubbub_spawner_worker.logs import Logs, NoLog


@pytest.fixture
def logs(tmp_path):
    return Logs(tmp_path, limit=100)


def write(logs, data, server="s1"):
    file = logs.open(server)
    os.write(file, data)
    return file


def test_the_last_lines_are_read(logs):
    os.close(write(logs, b"one\ntwo\nthree\n"))
    assert logs.tail("s1", 2) == "two\nthree"
    assert logs.tail("s1", 0) == ""
    assert logs.tail("s1", -5) == ""


def test_bytes_that_are_no_text_are_shown_as_such(logs):
    os.close(write(logs, b"a\xffb\n"))
    assert logs.tail("s1", 5) == "a\ufffdb"


def test_no_more_is_read_than_fits_into_a_reply(logs):
    os.close(write(logs, b"x" * 999 + b"\n" + b"y\n" * 500_000))
    assert len(logs.tail("s1", 10**9)) < 70_000


def test_a_large_one_is_cut_while_the_server_goes_on_writing(logs, tmp_path):
    file = write(logs, b"x" * 101)
    logs.rotate(["s1", "s2"])
    os.write(file, b"after\n")
    os.close(file)
    assert logs.tail("s1", 5) == "after"
    assert (tmp_path / "s1.log.1").read_bytes() == b"x" * 101


def test_a_small_one_is_left_alone(logs, tmp_path):
    os.close(write(logs, b"x"))
    logs.rotate(["s1"])
    assert [path.name for path in tmp_path.iterdir()] == ["s1.log"]


@pytest.mark.parametrize("server", ["../s1", "", "a/b", ".", "x" * 101, "s\n"])
def test_a_name_cannot_lead_out_of_the_folder(logs, server):
    with pytest.raises(NoLog):
        logs.tail(server, 1)


def test_only_the_worker_can_read_it(logs, tmp_path):
    os.close(write(logs, b"x"))
    assert (tmp_path / "s1.log").stat().st_mode & 0o777 == 0o600
