"""Spawners: what they start, as whom, with which environment."""

import asyncio
import json
import os
import sys

import pytest

from hubbub.floor import Floor
from hubbub.free_port import free_port
from hubbub_spawner_worker import environment
from hubbub_spawner_worker.gate import CannotRun
from hubbub_spawner_worker.hosted import url_of
from hubbub_spawner_worker.spawners import Spawner


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
_DEAF = """
import os, signal, time
for number in (signal.SIGINT, signal.SIGTERM):  # which may come in the middle of any print
    signal.signal(number, lambda number, _: os.write(1, signal.Signals(number).name.encode() + b"\\n"))
os.write(1, b"{}\\n")
while True:
    time.sleep(1000)
"""
DEAF = [sys.executable, "-SEc", _DEAF]


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


async def test_one_who_is_no_user_of_this_host_is_named(made):
    with pytest.raises(CannotRun, match="'no-such-person'"):
        await made("localprocess", user="no-such-person").start()


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


async def test_with_internal_tls_an_address_is_reached_by_https(made):
    spawner = made()
    spawner.internal_ssl = True
    assert url_of(("::1", 80), spawner) == "https://[::1]:80"


@pytest.mark.parametrize("returned", [None, 7, "host:80", "ftp://x", ("h", 0), ("h", 99999), ("h",), {}])
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


async def test_signals_are_sent_one_after_the_other_until_it_ends(made):
    spawner = made(cmd=DEAF, interrupt_timeout=0.2, term_timeout=0.2, kill_timeout=20)
    await start(spawner)
    await spawner.stop()
    assert await spawner.poll() == -9
    assert spawner.place.workshop.logs.tail("s1", 2).splitlines() == ["SIGINT", "SIGTERM"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"shell": True}, "sh|"),
        ({"shell": True, "executable": "/bin/bash"}, "bash|"),
        ({"executable": "/bin/echo"}, "-c printf '%s|' ${0##*/}"),
    ],
)
async def test_what_popen_would_run_instead_is_run(made, options, words):
    """With `shell` the first word is a script, and the shell is the program, as the documentation of Popen has it."""
    script = "printf '%s|' ${0##*/}"
    cmd = [script] if "shell" in options else ["/bin/sh", "-c", script]
    spawner = made(cmd=cmd, popen_kwargs=options)
    await spawner.start()
    await spawner.ended()
    assert spawner.place.workshop.logs.tail("s1", 1) == words


async def test_more_is_given_to_popen_but_never_another_environment(made, tmp_path):
    shell = 'printf \'{"umask": "%s", "cwd": "%s", "user": "%s"}\n\' $(umask) "$PWD" "$USER"; sleep 1000'
    options = {"umask": 0o027, "cwd": str(tmp_path), "env": {"USER": "other"}, "start_new_session": False}
    spawner = made(cmd=["/bin/sh", "-c", shell], popen_kwargs=options)
    assert await start(spawner) == {"umask": "0027", "cwd": str(tmp_path), "user": "ada"}
    assert os.getsid(spawner.process.pid) == spawner.process.pid
    assert spawner.popen_kwargs == options


async def test_without_a_command_there_is_nothing_to_run(made):
    with pytest.raises(CannotRun, match=r"c\.Spawner\.cmd"):
        await made(cmd=None).start()


class Aside:
    """Where the operator's functions go."""

    def __init__(self):
        self.called = []

    async def call(self, function, *arguments, patience):
        self.called.append(function.__name__)
        return function(*arguments)


@pytest.mark.parametrize(("value", "called"), [("1", []), (lambda it: str(it.port), ["get_env"])])
async def test_functions_of_the_operator_are_called_aside(made, value, called):
    spawner = made(cmd=TELL, environment={"A": value})
    spawner.aside = Aside()
    told = await start(spawner)
    assert told["A"] in ("1", str(spawner.port))
    assert spawner.aside.called == called


async def test_its_end_is_learnt_on_another_loop_than_its_own(made):
    """The worker waits on its own for what a class of the operator's has started elsewhere."""
    floor, spawner = Floor(), made(cmd=TELL)
    await floor.call(spawner.start, patience=20)
    ended = asyncio.create_task(spawner.ended())
    given_up = asyncio.create_task(spawner.ended())
    await asyncio.sleep(0)
    given_up.cancel()
    await floor.call(spawner.stop, patience=20)
    async with asyncio.timeout(20):
        assert await ended == await spawner.ended() == -2
    await floor.call(spawner.clear_state, patience=20)
    floor.close()


async def test_with_internal_tls_a_server_is_recorded_with_its_true_address(made):
    spawner = made(cmd=TELL)
    spawner.internal_ssl = True
    spawner.cert_paths = await spawner.move_certs({"keyfile": "/k", "certfile": "/c", "cafile": "/a"})
    told = await start(spawner)
    assert told["JUPYTERHUB_SSL_KEYFILE"] == "/k"
    assert told["JUPYTERHUB_SERVICE_URL"].startswith(f"{spawner.place.record.url}/base/")
    assert spawner.place.record.url == f"https://127.0.0.1:{spawner.port}"


async def test_a_hook_can_choose_the_home(made, tmp_path):
    spawner = made(cmd=TELL)
    spawner.home_dir = str(tmp_path / "elsewhere")
    told = await start(spawner)
    assert told["HOME"] == told["cwd"] == str(tmp_path / "elsewhere")


async def test_a_fixed_port_is_used(made):
    port = free_port()
    spawner = made(cmd=TELL, port=port)
    assert await spawner.start() == ("127.0.0.1", port)
