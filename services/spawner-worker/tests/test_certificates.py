"""Certificates of servers: asked of the api for the attempt, from whichever loop, and gone with it."""

import asyncio
import os
import stat
import sys
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
from cryptography.fernet import Fernet

from hubbub.bus import connect
from hubbub.internal_tls import certificates as made
from hubbub.internal_tls.authorities import kept
from hubbub.internal_tls.files import Files, serving
from hubbub.internal_tls.orders import Refused
from hubbub.rpc import Certified, Certify, Refusal, Signed
from hubbub.settings import BAD_CONFIGURATION
from hubbub.testing.nats import NatsServer
from hubbub.testing.tls import authorities, issued, shaken
from hubbub_spawner_worker.certificates import Issuer, create_certs
from hubbub_spawner_worker.response import version_of


class Api:
    """Signs whatever is asked, unless it is to refuse."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.found = authorities(folder)
        self.subjects = []
        self.asked = []
        self.refuses = False

    async def certify(self, subject, payload):
        self.subjects.append(subject)
        if self.refuses:
            return Certified(refused=Refusal(kind="StaleAttempt", message="not held"))
        question = msgspec.json.decode(payload, type=Certify)
        self.asked += question.requests
        return Certified(signed=tuple(self._signed(each) for each in question.requests))

    def _signed(self, each):
        asked = made.read(each.request)
        text = self.found.sign(each.part, asked, "x", asked.alt_names)
        return Signed(certificate=text, trust=self.found.trust(each.part))


@pytest.fixture
async def api(tmp_path: Path):
    server = NatsServer(tmp_path)
    server.start()
    async with connect(server.url("api"), "api-1") as bus:
        found = Api(tmp_path / "authorities")
        found.nats = server
        await bus.answer("hub.rpc.certify.*.*", found.certify)
        await bus.arrived()
        yield found
    server.kill()


@pytest.fixture
async def issuer(api, tmp_path: Path):
    async with connect(api.nats.url("pool-default"), "worker-1") as bus:
        yield await Issuer.open(bus, tmp_path / "mine", pool="default", worker="worker-1")


def files(paths: dict[str, str]) -> Files:
    return Files(**{name: Path(path) for name, path in paths.items()})


async def test_a_server_has_a_certificate_that_the_proxy_takes(api, issuer):
    got = files(await issuer.of("server-1", 3).issue("user-ada", ["DNS:localhost", "IP:127.0.0.1"]))
    assert shaken(got, kept(api.folder, "proxy-client"))
    assert (api.asked[-1].part, api.asked[-1].server, api.asked[-1].attempt) == ("server", "server-1", 3)
    assert api.subjects[-1] == "hub.rpc.certify.default.worker-1"


async def test_its_files_are_private_and_gone_when_the_attempt_is_over(api, issuer):
    got = files(await issuer.of("managed:board", 1).issue("x", []))
    other = files(await issuer.of("managed:board", 2).issue("x", []))
    assert {stat.S_IMODE(each.stat().st_mode) for each in (got.keyfile, got.certfile, got.cafile)} == {0o600}
    assert stat.S_IMODE(got.keyfile.parent.stat().st_mode) == 0o700
    issuer.remove("managed:board", 1)
    issuer.remove("managed:board", 1)
    assert not got.keyfile.parent.exists() and other.keyfile.exists()


async def test_a_spawner_on_another_loop_gets_one_too(issuer):
    certificates = issuer.of("server-1", 1)
    got = await asyncio.to_thread(asyncio.run, certificates.issue("user-ada", ["127.0.0.1"]))
    assert files(got).certfile.read_text().startswith("-----BEGIN CERTIFICATE")
    assert certificates.trust_bundles["notebooks-ca"] == certificates.trust_bundles["hub-ca"] == got["cafile"]


@pytest.mark.parametrize("local", [True, False])
@pytest.mark.parametrize("kind", ["list", "callable", "coroutine"])
async def test_jupyterhubs_own_spawners_get_theirs_the_same_way(api, issuer, kind, local):
    async def later(spawner):
        return ["DNS:ada.example.org"]

    names = {"list": ["DNS:ada.example.org"], "callable": lambda _: ["DNS:ada.example.org"], "coroutine": later}
    spawner = SimpleNamespace(
        ssl_alt_names=names[kind], ssl_alt_names_include_local=local, user=SimpleNamespace(name="ada")
    )
    await create_certs(spawner, issuer.of("server-1", 1))
    expected = ("DNS:localhost", "IP:127.0.0.1") if local else ()
    assert made.read(api.asked[-1].request).alt_names == (*expected, "DNS:ada.example.org")


async def test_a_refusal_or_a_name_that_is_none_is_the_spawners_error(api, issuer):
    with pytest.raises(ValueError, match="IP:nowhere"):
        await issuer.of("server-1", 1).issue("user-ada", ["IP:nowhere"])
    api.refuses = True
    with pytest.raises(Refused, match="not held"):
        await issuer.of("server-1", 1).issue("user-ada", [])


async def test_a_restarted_worker_asks_with_the_certificate_that_it_has(api, issuer, tmp_path):
    before = sorted((tmp_path / "mine").rglob("*.key"))
    async with connect(api.nats.url("pool-default"), "worker-1") as bus:
        await Issuer.open(bus, tmp_path / "mine", pool="default", worker="worker-1")
    assert sorted((tmp_path / "mine").rglob("*.key")) == before


async def test_a_server_that_wants_certificates_answers_the_worker(api, issuer, tmp_path):
    seen = []

    async def attend(reader, writer):
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nX-JupyterHub-Version: 6.1.1\r\n\r\n")
        writer.close()

    tls = serving(issued(api.found, tmp_path / "server", "server"))
    server = await asyncio.start_server(attend, "127.0.0.1", 0, ssl=tls)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/user/ada/api"
    assert await version_of(url, issuer.probe) == "6.1.1"
    stranger = asyncio.create_task(version_of(url))
    await version_of(url, issuer.probe)
    assert not stranger.done() and len(seen) == 2
    stranger.cancel()
    server.close()


async def test_a_worker_that_gets_none_gives_up_with_a_sentence(api, tmp_path):
    api.refuses = True
    config = tmp_path / "jupyterhub_config.py"
    config.write_text("c.JupyterHub.internal_ssl = True\nc.JupyterHub.spawner_class = 'simple'\n")
    environ = {
        "PATH": os.environ["PATH"],
        "HUBBUB_INSTANCE": "worker-1",
        "HUBBUB_CONFIG": str(config),
        "HUBBUB_DATA": str(tmp_path / "data"),
        "HUBBUB_NATS_URL": api.nats.url("pool-default"),
        "HUBBUB_BUS_KEY": Fernet.generate_key().decode(),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "hubbub_spawner_worker", env=environ, stderr=asyncio.subprocess.PIPE
    )
    _, said = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == BAD_CONFIGURATION
    assert said.decode().splitlines()[-1] == "no certificate for this worker: not held"
