"""Which processes of this host are servers that a JupyterHub has left, and which are not."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hubbub.config import load
from hubbub.moving.survey import Place
from hubbub.moving.theirs import TheirServer, TheirUser
from hubbub_local.errors import StackError
from hubbub_local.folder import Folder
from hubbub_local.moving import secrets
from hubbub_local.moving.found import Found, reach_of

ADA = TheirUser(id=1, name="ada", admin=False, cookie="c", created=None, last_activity=None, info=None, auth_state=None)
PREFIX = "/user/ada/"


def config(tmp_path: Path, text: str) -> Any:
    (tmp_path / "config.py").write_text(text)
    return load(tmp_path / "config.py")


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    told = {
        "JUPYTERHUB_SERVICE_PREFIX": PREFIX,
        "JUPYTERHUB_API_TOKEN": "its token",
        "JUPYTERHUB_API_URL": "http://10.0.0.1:8181/hub/api",
    }
    waits = [sys.executable, "-c", "import signal; print('up', flush=True); signal.pause()"]
    with subprocess.Popen(waits, env={**os.environ, **told}, stdout=subprocess.PIPE) as started:
        assert started.stdout and started.stdout.readline() == b"up\n"
        yield started
        started.kill()


def server(state: Any, prefix: str = PREFIX) -> TheirServer:
    return TheirServer(
        id=7,
        name="",
        display_name="",
        options=None,
        state=state,
        started=None,
        last_activity=None,
        client="",
        url="http://127.0.0.1:1",
        prefix=prefix,
    )


def test_a_process_counts_if_its_environment_says_that_it_is_this_server(
    process: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    found = Found(options=config(tmp_path, 'c.JupyterHub.spawner_class = "simple"'))
    place = found.place(ADA, [], server({"pid": process.pid}))
    assert isinstance(place, Place) and (place.pool, place.reach, place.token) == ("default", "process", "its token")
    assert found.local[7].pid == process.pid and found.local[7].uid == os.getuid()
    assert found.hub() == "http://10.0.0.1:8181"


def test_all_others_are_refused_with_a_reason(process: "subprocess.Popen[bytes]", tmp_path: Path) -> None:
    found = Found(options=config(tmp_path, 'c.JupyterHub.spawner_class = "simple"'))
    why = {
        "its spawner's state names no process": (None, {}, {"pid": None}, {"pid": "7"}, {"pid": 0}, []),
        "its process has ended, and another has its number": ({"pid": os.getpid()},),
    }
    for reason, states in why.items():
        assert {found.place(ADA, [], server(state)) for state in states} == {reason}
    process.kill()
    process.wait()
    assert found.place(ADA, [], server({"pid": process.pid})) == "its process has ended"
    elsewhere = Found(options=config(tmp_path, 'c.JupyterHub.base_url = "/lab/"'))
    assert "base_url is /lab/" in str(elsewhere.place(ADA, [], server({"pid": process.pid})))
    assert found.local == {} and found.hub() == ""


def test_who_can_reach_a_server_is_told_by_the_class_of_its_pool(tmp_path: Path) -> None:
    found = config(
        tmp_path,
        "from jupyterhub.spawner import LocalProcessSpawner, Spawner\n"
        "class Mine(Spawner): start = stop = poll = lambda self: None\n"
        "c.JupyterHub.spawner_class = LocalProcessSpawner\n"
        'c.Hubbub.pools = {"mine": {"users": ["ada"], "spawner_class": Mine}}\n',
    )
    assert (reach_of(found, "default"), reach_of(found, "mine")) == ("host", "pool")
    place = Found(options=found).place(ADA, [], server({"container": "x"}))
    assert isinstance(place, Place) and (place.pool, place.reach) == ("mine", "pool")
    with pytest.raises(StackError, match="there is no spawner"):
        reach_of(config(tmp_path, 'c.JupyterHub.spawner_class = "nonesuch"'), "default")


def test_the_cookie_secret_is_found_where_jupyterhub_keeps_it(tmp_path: Path) -> None:
    assert secrets.cookie_secret(config(tmp_path, ""), tmp_path) == ""
    (tmp_path / "jupyterhub_cookie_secret").write_text("ab" * 32 + "\n")
    assert secrets.cookie_secret(config(tmp_path, ""), tmp_path) == "ab" * 32
    assert secrets.cookie_secret(config(tmp_path, "c.JupyterHub.cookie_secret = b'x' * 4"), tmp_path) == "78787878"
    (tmp_path / "jupyterhub_cookie_secret").write_text("no hex")
    with pytest.raises(StackError, match="not in hex"):
        secrets.cookie_secret(config(tmp_path, ""), tmp_path)


def test_a_folder_with_secrets_of_its_own_is_refused(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    secrets.take_over(folder, {"cookie_secret": "aa", "proxy_token": ""})
    secrets.take_over(folder, {"cookie_secret": "aa", "proxy_token": "t"})
    with pytest.raises(StackError, match="cookie_secret of its own"):
        secrets.take_over(folder, {"cookie_secret": "bb"})


def test_ports_are_those_that_jupyterhub_had(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    secrets.keep_ports(folder, config(tmp_path, 'c.JupyterHub.bind_url = "http://:9000/"'), "http://10.0.0.1:8181")
    assert folder.ports.read_text().split() == ["{", '"public":', "9000,", '"proxy":', "8001,", '"hub":', "8181", "}"]
