"""What the Helm chart brings besides templates: the hub's configuration, and what makes its Secret."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest
from kubernetes_asyncio.config import kube_config
from kubespawner import KubeSpawner
from rigs.chart import CHART, RELEASE, render
from rigs.kube import SETTINGS
from test_chart import SEES

from hubbub.config import Options, load

pytestmark = pytest.mark.system


def configured(folder: Path, monkeypatch: pytest.MonkeyPatch, values: dict[str, Any]) -> Options:
    """The configuration as a service of the chart reads it."""
    chart = render(values)
    for name, text in chart.of("ConfigMap")[f"{RELEASE}-config"]["data"].items():
        (folder / name).write_text(text)
    (folder / "login-password").write_text("a password of many letters\n")
    for name, value in chart.environment(f"{RELEASE}-api").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LOGIN_PASSWORD_FILE", str(folder / "login-password"))
    return load(folder / "jupyterhub_config.py")


@pytest.fixture(autouse=True)
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that nobody asks."""
    server = [{"name": "rig", "cluster": {"server": "http://127.0.0.1:1"}}]
    (tmp_path / "cluster").write_text(json.dumps({**SETTINGS, "clusters": server}))
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "cluster"))


def spawner(options: Options) -> KubeSpawner:
    ada = SimpleNamespace(name="ada", escaped_name="ada", id=1, url="/user/ada/")
    return KubeSpawner(_mock=True, user=ada, config=options.traits)


def test_every_service_can_read_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = configured(
        tmp_path, monkeypatch, {"hub": {"admins": ["ada", "bob"]}, "extraConfig": "c.Hubbub.pool = 'x'"}
    )
    assert options.warnings == []
    assert options.hub_connect_url == f"http://{RELEASE}-api:8081"
    assert (options.admin_users, options.ours.pool) == ({"ada", "bob"}, "x")
    assert options.proxy.should_start is False


async def test_peoples_pods_are_those_that_the_policies_mean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = spawner(configured(tmp_path, monkeypatch, {"users": {"memory": {"limit": "3G"}, "cpu": {"limit": 1.5}}}))
    pod = (await made.get_pod_manifest()).to_dict()
    policy = render().of("NetworkPolicy")[f"{RELEASE}-user"]["spec"]["podSelector"]["matchLabels"]
    assert policy.items() <= pod["metadata"]["labels"].items()
    assert pod["metadata"]["name"].startswith(f"{RELEASE}-user-ada")
    [container] = pod["spec"]["containers"]
    assert container["resources"]["limits"] == {"cpu": 1.5, "memory": 3 * 1024**3}
    assert pod["spec"]["automount_service_account_token"] is False
    [volume] = pod["spec"]["volumes"]
    assert volume["persistent_volume_claim"]["claimName"] == made.pvc_name == f"{RELEASE}-user-ada"


async def test_without_storage_there_are_no_volumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = spawner(configured(tmp_path, monkeypatch, {"users": {"storage": {"size": ""}}}))
    assert (await made.get_pod_manifest()).spec.volumes == []


class Api(ThreadingHTTPServer):
    """As much of the API of Kubernetes as the Job asks for. `secret`: the one that there is."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.secret: dict[str, Any] | None = None
        self.writes: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def texts(self) -> dict[str, str]:
        assert self.secret is not None
        return {name: base64.b64decode(data).decode() for name, data in self.secret["data"].items()}


class _Answers(BaseHTTPRequestHandler):
    server: Api

    def do_GET(self) -> None:
        self._say(404 if self.server.secret is None else 200, self.server.secret)

    def do_POST(self) -> None:
        self._take()
        assert self.path == "/api/v1/namespaces/hub/secrets"

    def do_PUT(self) -> None:
        self._take()
        assert self.path == "/api/v1/namespaces/hub/secrets/h-secrets"

    def _take(self) -> None:
        assert self.headers["Authorization"] == "Bearer token-of-the-job"
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        before = self.server.secret
        if before and body["metadata"]["resourceVersion"] != before["metadata"]["resourceVersion"]:
            self._say(409, {})
            return
        self.server.writes.append(self.command)
        body["metadata"]["resourceVersion"] = str(len(self.server.writes))
        self.server.secret = body
        self._say(200, body)

    def _say(self, status: int, body: object) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def kubernetes() -> Iterator[Api]:
    api = Api()
    serving = Thread(target=api.serve_forever)
    serving.start()
    try:
        yield api
    finally:
        api.shutdown()
        serving.join()
        api.server_close()


def make_kit(folder: Path, api: Api, values: dict[str, Any]) -> str:
    """The Job, as the chart tells it to be run."""
    folder.mkdir()
    (folder / "token").write_text("token-of-the-job")
    chart = render(values)
    [container] = chart.pods()[f"{RELEASE}-kit"]["spec"]["containers"]
    said: Mapping[str, str] = chart.environment(f"{RELEASE}-kit")
    environ = {**os.environ, **said, "API": api.url, "ACCOUNT": str(folder), "FOLDER": str(folder / "kit")}
    command = [sys.executable, str(CHART / "files" / "kit.py"), *container["args"]]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


def test_the_secret_is_made_once_and_grows_with_the_hub(tmp_path: Path) -> None:
    with kubernetes() as api:
        assert "is made" in make_kit(tmp_path / "1", api, {})
        first = api.texts()
        wanted = {name for part, names in SEES.items() if part != "worker-gpu" for name in names}
        assert wanted <= first.keys()
        assert first["postgres-url-api"].strip().endswith(f"@{RELEASE}-postgres:5432/hubbub")
        assert first["nats-url-poller"].strip().endswith(f"@{RELEASE}-nats:4222")

        assert "is as it was" in make_kit(tmp_path / "2", api, {})
        assert api.writes == ["POST"]

        more = {"pools": {"gpu": {}}, "nats": {"replicas": 3}}
        assert "is up to date" in make_kit(tmp_path / "3", api, more)
        then = api.texts()
        assert api.writes == ["POST", "PUT"]
        kept = ("cookie-secret", "vault-key", "bus-key", "forward-key", "proxy-token", "postgres-url-api")
        assert [then[name] for name in kept] == [first[name] for name in kept]
        assert SEES["worker-gpu"] <= then.keys()
        assert f"{RELEASE}-nats-2.{RELEASE}-nats-nodes:4222" in then["nats-url-api"]


def test_a_database_of_ones_own_is_named_in_it(tmp_path: Path) -> None:
    with kubernetes() as api:
        at = {"enabled": False, "at": "db.example.org:5432/hub?sslmode=require", "owner": "owner"}
        make_kit(tmp_path / "1", api, {"postgres": at})
        assert api.texts()["postgres-url-owner"].startswith("postgresql://owner:")
        assert api.texts()["postgres-url-auth"].strip().endswith("@db.example.org:5432/hub?sslmode=require")
