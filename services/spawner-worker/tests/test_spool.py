"""The spool: what is on it is found by whoever comes next, and by nobody else."""

from datetime import UTC, datetime

import pytest

from hubbub.rpc import Person, Spec
from hubbub_spawner_worker.spool import Record, Spool


def record(server="s1", attempt=1, **changes):
    spec = Spec(
        server=server,
        attempt=attempt,
        person=Person(id="p1", number=1, name="ada", admin=False),
        name="",
        prefix="/user/ada/",
        hash="sha256:0",
        sealed="",
        deadline=datetime.now(UTC),
        client_id="c",
        token_scopes=(),
        access_scopes=(),
    )
    return Record(server=server, attempt=attempt, spec=spec, url="http://127.0.0.1:1", boot_id="b", **changes)


@pytest.fixture
def spool(tmp_path):
    return Spool(tmp_path, "w1")


def test_what_was_written_is_read(spool):
    written = record(pid=12, start_time=3, uid=0, port=4000)
    spool.write(written)
    assert spool.read("s1", 1) == written
    assert [found.key for found in spool.records()] == [("s1", 1)]
    assert spool.ports() == {4000}


def test_what_was_removed_is_gone_and_may_be_removed_again(spool):
    spool.write(record())
    spool.remove("s1", 1)
    spool.remove("s1", 1)
    assert spool.records() == []


def test_only_the_worker_can_read_it(spool, tmp_path):
    spool.write(record())
    (path,) = tmp_path.glob("w1/*.json")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_two_attempts_of_a_server_do_not_overwrite_each_other(spool):
    spool.write(record(attempt=1))
    spool.write(record(attempt=2))
    assert [found.key for found in spool.records()] == [("s1", 1), ("s1", 2)]


@pytest.mark.parametrize("nonsense", [b"", b"\xff\xfe", b"{}", b"[1]", b'{"server": 1}'])
def test_nonsense_is_put_aside(spool, tmp_path, nonsense):
    spool.write(record())
    (tmp_path / "w1" / "x.1.json").write_bytes(nonsense)
    assert [found.key for found in spool.records()] == [("s1", 1)]
    assert (tmp_path / "w1" / "x.1.json.bad").read_bytes() == nonsense


def test_a_name_cannot_lead_out_of_the_folder(spool, tmp_path):
    spool.write(record(server="../../up"))
    assert spool.read("../../up", 1).server == "../../up"
    assert len(list(tmp_path.glob("w1/*.json"))) == 1


def test_a_colleague_that_lives_keeps_its_files(spool, tmp_path):
    other = Spool(tmp_path, "w2")
    assert other.lock.take()
    other.write(record())
    assert list(spool.dead_colleagues()) == []
    assert [found.key for found in other.records()] == [("s1", 1)]


def test_the_files_of_a_dead_colleague_are_taken_with_its_lock(spool, tmp_path):
    other = Spool(tmp_path, "w2")
    assert other.lock.take()
    other.write(record())
    other.lock.release()
    for lock in spool.dead_colleagues():
        with lock:
            assert [found.key for found in spool.records()] == [("s1", 1)]
            assert not other.lock.take()
    assert other.lock.take()
    assert other.records() == []


def test_a_lock_is_taken_once(tmp_path):
    first, second = Spool(tmp_path, "w1").lock, Spool(tmp_path, "w1").lock
    assert first.take()
    assert not second.take()
    first.release()
    assert second.take()
