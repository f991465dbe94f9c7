"""Spawners: what they start, as whom, with which environment."""

import asyncio
import contextlib
import json
import os
import pwd
import socket
import sys
from datetime import UTC, datetime

import pytest
from cryptography.fernet import Fernet
from traitlets.config import Config

from hubbub.config import Options
from hubbub.rpc import Person, Spec
from hubbub.settings import Settings
from hubbub_spawner_worker import environment, proc
from hubbub_spawner_worker.gate import CannotRun
from hubbub_spawner_worker.place import LocalPlace
from hubbub_spawner_worker.spawners import SimpleLocalProcessSpawner, Spawner
from hubbub_spawner_worker.workload import url_of
from hubbub_spawner_worker.workshop import Unreadable, furnish

KEY = Fernet.generate_key().decode()


def spec(user="ada", name="lab", **changes):
    return Spec(
        server="s1",
        attempt=1,
        person=Person(id="p1", number=7, name=user, admin=True, groups=("staff",)),
        name=name,
        prefix=f"/base/user/{user}/{name}/",
        hash="sha256:0",
        deadline=datetime.now(UTC),
        client_id=f"jupyterhub-user-{user}-{name}",
        token_scopes=(),
        access_scopes=(f"access:servers!server={user}/{name}", f"access:servers!user={user}"),
        client_allowed_scopes=("read:users:name!user",),
        **{"sealed": "", **changes},
    )


@pytest.fixture
async def made(tmp_path):
    """made(kind, user=..., **options) -> a spawner in its place, not started."""
    async with contextlib.AsyncExitStack() as stack:

        def make(kind="simple", *, user="ada", hub=None, sealed="", **options):
            traits = Config()
            traits.JupyterHub.spawner_class = kind
            traits.JupyterHub.bind_url = "http://127.0.0.1:8000/base/"
            traits.JupyterHub.update(hub or {})
            traits.SimpleLocalProcessSpawner.home_dir_template = str(tmp_path / "home" / "{username}")
            traits.SimpleLocalProcessSpawner.update(options)
            if kind == "localprocess":
                traits.LocalProcessSpawner.update(options)
            settings = Settings(instance="w1", data=str(tmp_path), bus_key=KEY)
            workshop = furnish(settings, Options(traits, settings), None)
            asked = spec(user, sealed=sealed)
            spawner = workshop.spawner(asked)
            spawner.place = LocalPlace(workshop=workshop, spec=asked)
            spawner.api_token = "secret-token"
            stack.push_async_callback(stop, spawner)
            return spawner

        yield make


async def stop(spawner):
    spawner.interrupt_timeout = spawner.term_timeout = 0.1
    await spawner.stop()


async def start(spawner):
    """Start it, and wait for what it writes into its log: one line of JSON."""
    await spawner.start()
    log = spawner.place.workshop.logs
    async with asyncio.timeout(20):
        while not (text := log.tail("s1", 1)).startswith("{"):
            assert await spawner.poll() is None, text
            await asyncio.sleep(0.005)  # a file tells nobody
    return json.loads(text)


_TELL = """
import json, os, time
print(json.dumps({"cwd": os.getcwd(), **os.environ}), flush=True)
time.sleep(1000)
"""
TELL = [sys.executable, "-SEc", _TELL]


async def test_a_server_is_told_all_that_the_contract_names(made):
    told = await start(made(cmd=TELL, notebook_dir="~/{username}", default_url="/lab", debug=True))
    port = told["JUPYTERHUB_SERVICE_URL"].split(":")[2].split("/")[0]
    scopes = '["access:servers!server=ada/lab", "access:servers!user=ada"]'
    expected = {
        "JUPYTERHUB_API_TOKEN": "secret-token",
        "JPY_API_TOKEN": "secret-token",
        "JUPYTERHUB_API_URL": "http://127.0.0.1:8081/base/hub/api",
        "JUPYTERHUB_ACTIVITY_URL": "http://127.0.0.1:8081/base/hub/api/users/ada/activity",
        "JUPYTERHUB_BASE_URL": "/base/",
        "JUPYTERHUB_CLIENT_ID": "jupyterhub-user-ada-lab",
        "JUPYTERHUB_COOKIE_HOST_PREFIX_ENABLED": "0",
        "JUPYTERHUB_HOST": "",
        "JUPYTERHUB_OAUTH_CALLBACK_URL": "/base/user/ada/lab/oauth_callback",
        "JUPYTERHUB_OAUTH_SCOPES": scopes,
        "JUPYTERHUB_OAUTH_ACCESS_SCOPES": scopes,
        "JUPYTERHUB_OAUTH_CLIENT_ALLOWED_SCOPES": '["read:users:name!user"]',
        "JUPYTERHUB_USER": "ada",
        "JUPYTERHUB_SERVER_NAME": "lab",
        "JUPYTERHUB_SERVICE_PREFIX": "/base/user/ada/lab/",
        "JUPYTERHUB_SERVICE_URL": f"http://127.0.0.1:{port}/base/user/ada/lab/",
        "JUPYTERHUB_PUBLIC_URL": "",
        "JUPYTERHUB_PUBLIC_HUB_URL": "",
        "JUPYTERHUB_ROOT_DIR": "~/ada",
        "JUPYTERHUB_DEFAULT_URL": "/lab",
        "JUPYTERHUB_DEBUG": "1",
    }
    assert {name: value for name, value in told.items() if name.startswith(("JUPYTERHUB_", "JPY_"))} == expected
    assert told["HOME"].endswith("/home/ada")
    assert told["cwd"] == told["HOME"]


async def test_public_addresses_are_told_where_they_are_configured(made):
    told = made(hub={"public_url": "https://hub.example.org/base/"}).get_env()
    assert told["JUPYTERHUB_PUBLIC_URL"] == "https://hub.example.org/base/user/ada/lab/"
    assert told["JUPYTERHUB_PUBLIC_HUB_URL"] == "https://hub.example.org/base/hub/"


async def test_the_hub_may_look_different_to_servers(made):
    told = made(hub_connect_url="http://hub:1234").get_env()
    assert told["JUPYTERHUB_API_URL"] == "http://hub:1234/base/hub/api"
    assert told["JUPYTERHUB_ACTIVITY_URL"].startswith("http://hub:1234/base/hub/api/users/")


async def test_what_the_operator_sets_comes_last_and_may_be_called(made):
    told = made(environment={"JUPYTERHUB_USER": "other", "GROUPS": lambda it: it.user.groups[0].name}).get_env()
    assert told["JUPYTERHUB_USER"] == "other"
    assert told["GROUPS"] == "staff"


def test_the_workers_own_variables_are_never_handed_on():
    ours = {"HUBBUB_BUS_KEY": "x", "CONFIGPROXY_AUTH_TOKEN": "x", "PATH": "/bin"}
    assert environment.kept(ours, ours) == {"PATH": "/bin"}


async def test_options_and_state_come_unsealed(made):
    class Remembers(SimpleLocalProcessSpawner):
        remembered = None

        def load_state(self, state):
            self.remembered = state

    sealed = Fernet(KEY).encrypt(b'{"options": {"image": "big"}, "state": {"id": 3}}').decode()
    spawner = made(Remembers, sealed=sealed)
    assert spawner.user_options == {"image": "big"}
    assert spawner.remembered == {"id": 3}


@pytest.mark.parametrize("sealed", ["nonsense", Fernet(Fernet.generate_key()).encrypt(b"{}").decode()])
async def test_what_another_key_sealed_is_not_readable(made, sealed):
    with pytest.raises(Unreadable):
        made(sealed=sealed)


async def test_a_local_server_runs_until_it_is_stopped(made, is_alive):
    spawner = made(cmd=TELL)
    assert await spawner.poll() == 0
    await start(spawner)
    pid = spawner.get_state()["pid"]
    assert await spawner.poll() is None
    await spawner.stop()
    assert await spawner.poll() == -2
    assert not is_alive(pid)


async def test_the_wish_to_stop_now_skips_asking_nicely(made):
    spawner = made(cmd=TELL)
    await start(spawner)
    await spawner.stop(now=True)
    assert await spawner.poll() == -15


async def test_a_shell_gets_the_command_as_one_argument(made):
    spawner = made(cmd=["printf", "%s|"], args=["a b", "$HOME"], shell_cmd=["/bin/sh", "-c"])
    await spawner.start()
    await spawner.ended()
    assert spawner.place.workshop.logs.tail("s1", 1) == "a b|$HOME|"


async def test_a_home_that_somebody_else_has_made_is_refused(made, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    (tmp_path / "home" / "ada").mkdir(parents=True)
    os.chown(tmp_path / "home" / "ada", 65534, 65534)
    with pytest.raises(CannotRun, match="belongs to somebody else"):
        await made().start()


@pytest.mark.parametrize("user", [".", ".."])
async def test_a_home_is_never_outside_the_folder_of_homes(made, user):
    with pytest.raises(CannotRun, match="home folder"):
        await made(user=user).start()


async def test_people_run_as_themselves(made):
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    entry = pwd.getpwnam("nobody")
    shell = 'printf \'{"uid": %s, "gid": %s, "groups": "%s"}\\n\' $(id -u) $(id -g) "$(id -G)"; sleep 1000'
    spawner = made("localprocess", user="nobody", cmd=["/bin/sh", "-c", shell])
    told = await start(spawner)
    assert told == {"uid": entry.pw_uid, "gid": entry.pw_gid, "groups": f"{entry.pw_gid}"}
    assert proc.uid(spawner.process.pid) == entry.pw_uid == spawner.place.record.uid


async def test_one_who_is_no_user_of_this_host_is_named(made):
    with pytest.raises(CannotRun, match="'no-such-person'"):
        await made("localprocess", user="no-such-person").start()


async def test_the_default_progress_is_one_frame(made):
    assert [frame async for frame in made().progress()] == [{"progress": 50, "message": "Spawning server..."}]


@pytest.mark.parametrize(
    ("returned", "url"),
    [
        (("127.0.0.1", 80), "http://127.0.0.1:80"),
        (["10.0.0.1", 8888], "http://10.0.0.1:8888"),
        (("", 80), "http://127.0.0.1:80"),
        (("0.0.0.0", 80), "http://127.0.0.1:80"),
        (("::1", 80), "http://[::1]:80"),
        ("http://host:90/user/ada/", "http://host:90"),
        ("https://host", "https://host"),
    ],
)
async def test_what_start_returns_is_an_address(made, returned, url):
    assert url_of(returned, made()) == url


@pytest.mark.parametrize("returned", [None, 7, "host:80", "ftp://x", ("h", 0), ("h", 99999), ("h", "80"), ("h",), {}])
async def test_nonsense_is_no_address(made, returned):
    with pytest.raises(TypeError, match=r"start\(\) returned"):
        url_of(returned, made())


async def test_a_spawner_of_ones_own_is_polled(made):
    class Remote(Spawner):
        left = 3

        async def stop(self, now=False):
            self.left = 1

        async def poll(self):
            self.left -= 1
            return None if self.left else 5

    spawner = made(Remote)
    spawner.poll_interval = 0.01
    assert await spawner.ended() == 5


async def test_a_fixed_port_is_used(made):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    spawner = made(cmd=TELL, port=port)
    assert await spawner.start() == ("127.0.0.1", port)
