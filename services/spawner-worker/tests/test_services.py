"""Managed services on a host: what they find in their environment, as whom and where they run."""

import asyncio
import contextlib
import getpass
import json
import os
import pwd
import sys
from datetime import UTC, datetime

import msgspec
import pytest
from cryptography.fernet import Fernet
from traitlets.config import Config

from hubbub.config import Options
from hubbub.domain.server_messages import ReportExit, ReportFailed, ReportResponded, ReportStarted
from hubbub.domain.server_states import AwaitResponse, Running, StartProcess, StopProcess
from hubbub.managed import managed
from hubbub.rpc import Answer, Done, Person, Spec, Word
from hubbub.settings import Settings
from hubbub_spawner_worker.gate import CannotRun
from hubbub_spawner_worker.hosting import Hosting
from hubbub_spawner_worker.place import LocalPlace
from hubbub_spawner_worker.workload import Workload
from hubbub_spawner_worker.workshop import furnish

KEY = Fernet.generate_key().decode()
_TELL = """
import json, os, time
print(json.dumps({"cwd": os.getcwd(), **os.environ}), flush=True)
time.sleep(1000)
"""
TELL = [sys.executable, "-SEc", _TELL]
URL = "http://127.0.0.1:1/ignored"
SPEC = Spec(
    server="managed:board",
    attempt=1,
    person=Person(id="", number=0, name="", admin=False),
    name="board",
    prefix="/base/services/board/",
    hash="sha256:0",
    sealed="",
    deadline=datetime.now(UTC),
    client_id="service-board",
    token_scopes=("inherit",),
    access_scopes=("access:services", "access:services!service=board"),
    service="board",
)


@pytest.fixture
def workload(tmp_path):
    """await workload(changed=..., **service): one whose spawner is not started. *changed*: since the api wanted it."""

    async def make(*, changed=None, **service):
        entry = {"name": "board", "command": TELL, **service}
        traits = Config()
        traits.JupyterHub.bind_url = "http://127.0.0.1:8000/base/"
        traits.JupyterHub.spawner_class = "simple"
        traits.JupyterHub.services = [{**entry, **(changed or {})}]
        settings = Settings(instance="w1", data=str(tmp_path), bus_key=KEY)
        workshop = furnish(settings, Options(traits, settings), None)
        [wanted] = managed([entry], KEY).values()
        spec = msgspec.structs.replace(SPEC, digest=wanted.digest)
        made = Workload(Hosting(workshop, _never), spec, _heard, token="secret-token")
        made.spawner = (await made.open()).spawner
        made.spawner.interrupt_timeout = made.spawner.term_timeout = 1
        return made

    return make


@contextlib.asynccontextmanager
async def started(workload):
    """What it writes into its log: one line of JSON."""
    report = await workload.perform(StartProcess(attempt=1))
    assert isinstance(report.report, ReportStarted), report
    try:
        async with asyncio.timeout(20):
            while not (text := workload.workshop.logs.tail("managed:board", 1)).startswith("{"):
                assert await workload.spawner.poll() is None, text
                await asyncio.sleep(0.005)  # a file tells nobody
        yield json.loads(text), report.report
    finally:
        stopped = await workload.perform(StopProcess(attempt=1))
        assert isinstance(stopped.report, ReportExit)


async def _never(server, attempt, state):
    raise AssertionError("a service has no auth state")


async def _heard(report):
    """An api that has nothing against it."""
    return Answer()


def of_the_hub(told):
    return {name: value for name, value in told.items() if name.startswith(("JUPYTERHUB_", "JPY_"))}


EXPECTED = {
    "JUPYTERHUB_API_TOKEN": "secret-token",
    "JPY_API_TOKEN": "secret-token",
    "JUPYTERHUB_API_URL": "http://127.0.0.1:8081/base/hub/api",
    "JUPYTERHUB_BASE_URL": "/base/",
    "JUPYTERHUB_CLIENT_ID": "service-board",
    "JUPYTERHUB_COOKIE_HOST_PREFIX_ENABLED": "0",
    "JUPYTERHUB_HOST": "",
    "JUPYTERHUB_OAUTH_SCOPES": '["access:services", "access:services!service=board"]',
    "JUPYTERHUB_OAUTH_ACCESS_SCOPES": '["access:services", "access:services!service=board"]',
    "JUPYTERHUB_OAUTH_CLIENT_ALLOWED_SCOPES": "[]",
    "JUPYTERHUB_USER": "",
    "JUPYTERHUB_SERVER_NAME": "",
    "JUPYTERHUB_SERVICE_NAME": "board",
    "JUPYTERHUB_PUBLIC_URL": "",
    "JUPYTERHUB_PUBLIC_HUB_URL": "",
}
PLACE = {
    "JUPYTERHUB_OAUTH_CALLBACK_URL": "/base/services/board/oauth_callback",
    "JUPYTERHUB_SERVICE_PREFIX": "/base/services/board/",
    "JUPYTERHUB_SERVICE_URL": URL,
}


async def test_a_service_with_a_url_is_told_all_that_the_contract_names(workload):
    async with started(await workload(url=URL)) as (told, report):
        assert of_the_hub(told) == EXPECTED | PLACE
        assert told["cwd"] == os.getcwd()
        assert report.url == "http://127.0.0.1:1"


async def test_one_without_is_told_no_place_and_counts_as_soon_as_it_runs(workload):
    made = await workload()
    async with started(made) as (told, report):
        assert of_the_hub(told) == EXPECTED
        assert report.url == ""
        answered = await made.perform(AwaitResponse(attempt=1, url=report.url))
        assert isinstance(answered.report, ReportResponded)


async def test_what_the_operator_sets_wins_but_for_who_it_is(workload):
    environment = {"COLOUR": "red", "JUPYTERHUB_HOST": "x", "JUPYTERHUB_SERVICE_NAME": "another"}
    async with started(await workload(environment=environment, api_token="token-of-the-operator")) as (told, _):
        assert (told["COLOUR"], told["JUPYTERHUB_HOST"], told["JUPYTERHUB_SERVICE_NAME"]) == ("red", "x", "board")
        assert told["JUPYTERHUB_API_TOKEN"] == told["JPY_API_TOKEN"] == "token-of-the-operator"


async def test_it_works_where_the_operator_wants_it(workload, tmp_path):
    async with started(await workload(cwd=str(tmp_path))) as (told, _):
        assert told["cwd"] == str(tmp_path)
    missing = await (await workload(cwd=str(tmp_path / "missing"))).perform(StartProcess(attempt=1))
    assert "missing is not there" in missing.report.failure.message


async def test_it_runs_as_the_user_the_operator_names(workload):
    assert (await workload()).spawner.account() is None
    own = (await workload(user=getpass.getuser())).spawner
    assert own.account() is None  # who we are already
    assert own.get_env()["HOME"] == pwd.getpwuid(os.geteuid()).pw_dir
    with pytest.raises(CannotRun, match="no UNIX user 'nobody-at-all'"):
        (await workload(user="nobody-at-all")).spawner.account()


async def test_it_is_not_started_by_another_configuration_than_the_apis(workload):
    failed = await (await workload(changed={"command": ["true"]})).perform(StartProcess(attempt=1))
    assert isinstance(failed.report, ReportFailed)
    assert "restart the worker" in failed.report.failure.message


async def test_it_is_watched_and_stopped_whatever_became_of_its_configuration(workload):
    made = await workload()
    async with started(made):
        other = await workload(changed={"name": "another"})
        after = await other.hosting.host(made.spec, made.place)
        after.spawner.adopt(made.spawner.process)
        assert await after.poll() is None
        assert made.place.record.spec.service == "board"


async def test_it_has_its_own_time_to_answer(workload):
    made = await workload(url="http://127.0.0.1:1", timeout=1)
    async with started(made) as (_, report):
        failed = await made.perform(AwaitResponse(attempt=1, url=report.url))
        assert failed.report.failure.reason == "timeout"
        assert "/base/services/board/ within 1 seconds" in failed.report.failure.message


async def test_its_environment_is_not_on_the_spool_nor_in_what_travels(workload, tmp_path):
    made = await workload(environment={"PASSWORD": "secret-of-the-board"})
    place = LocalPlace(workshop=made.workshop, spec=made.spec)
    place.write(url="")
    texts = [path.read_text() for path in tmp_path.glob("spool/*/*/*.json")]
    assert len(texts) == 1
    assert "secret-of" not in texts[0]


async def test_a_port_is_set_on_the_attempt_that_is_held_and_on_no_other(api, hire, connection):
    await hire()
    await api.start("s1")
    await api.until_is("s1", Running)

    async def say(server, attempt):
        word = Word(server=server, attempt=attempt, verb="port", port=4567)
        return (await connection.ask("hub.holder.w1", word, Done)).refused

    assert await say("s1", 1) is None
    assert (await say("s1", 2)).kind == "StaleAttempt"
    assert (await say("s2", 1)).kind == "StaleAttempt"
