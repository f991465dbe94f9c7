"""kubespawner's KubeIngressProxy, unmodified, with a stand-in of the Kubernetes API."""

import asyncio
import gc
import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from kubernetes_asyncio.config import kube_config
from kubespawner.clients import load_config
from kubespawner.proxy import KubeIngressProxy
from rigs.kube import KubeRig
from traitlets.config import Config

from hubbub.config import Options
from hubbub.free_port import free_port
from hubbub_proxy_sync.classic import ClassicProxy, host
from hubbub_proxy_sync.proxies.proxy import ProxyRoute, ProxyUnavailable
from hubbub_proxy_sync.proxies.site import Hub, Site
from stack import eventually

pytestmark = pytest.mark.system

INGRESSES = "apis/networking.k8s.io/v1/namespaces/default/ingresses"
SERVICES, ENDPOINTS = "api/v1/namespaces/default/services", "api/v1/namespaces/default/endpoints"


class Cluster:
    """The API, as an administrator knows it."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        return await asyncio.to_thread(self._ask, method, path, body)

    def _ask(self, method: str, path: str, body: Any) -> Any:
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(
            urllib.request.Request(f"{self._url}/{path}", data, method=method), timeout=10
        ) as answer:
            return json.loads(answer.read())

    async def names(self, path: str) -> set[str]:
        return {each["metadata"]["name"] for each in (await self.ask("GET", path))["items"]}

    async def backends(self) -> dict[str, str]:
        """Where the paths of all ingresses lead, by the addresses of their services' endpoints."""
        found = {}
        endpoints = {each["metadata"]["name"]: each for each in (await self.ask("GET", ENDPOINTS))["items"]}
        for ingress in (await self.ask("GET", INGRESSES))["items"]:
            [path] = ingress["spec"]["rules"][0]["http"]["paths"]
            [subset] = endpoints[path["backend"]["service"]["name"]]["subsets"]
            found[path["path"]] = f"{subset['addresses'][0]['ip']}:{subset['ports'][0]['port']}"
        return found

    async def clear(self) -> None:
        for path in (INGRESSES, SERVICES, ENDPOINTS):
            for name in await self.names(path):
                with suppress(urllib.error.HTTPError):
                    await self.ask("DELETE", f"{path}/{name}")


@pytest.fixture
async def cluster(kube: KubeRig, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cluster]:
    load_config.cache_clear()
    # It is read from the environment when the package is imported.
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(kube.settings))
    made = Cluster(kube.url)
    await made.clear()
    yield made
    await made.clear()
    load_config.cache_clear()
    gc.collect()  # asyncio complains now of what reflectors have left behind, not while pytest reads a module


@pytest.fixture
async def proxy(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ClassicProxy]:
    made = proxy_in(tmp_path, monkeypatch)
    async with asyncio.timeout(30):
        await made.start()
    yield made
    await made.close()


def proxy_in(folder: Path, monkeypatch: pytest.MonkeyPatch, config: Config | None = None) -> ClassicProxy:
    monkeypatch.setenv("HUBBUB_PROXY", "")
    hub = Hub(url="http://10.0.0.1:8081/hub/")
    site = Site(name="one", bind_url="http://:8000/", hub=hub, folder=folder, token="token")
    made = host(KubeIngressProxy, Options(config or Config()), site)
    assert isinstance(made, ClassicProxy)
    return made


def route(name: str, ip: str = "10.0.0.2", attempt: int = 1) -> ProxyRoute:
    data = {"user": name, "server_name": "", "server_id": f"id-{name}", "attempt": attempt}
    return ProxyRoute(routespec=f"/user/{name}/", target=f"http://{ip}:8888", data=data)


async def lists(proxy: ClassicProxy, *names: str) -> bool:
    return set(await proxy.get_all_routes()) == {f"/user/{name}/" for name in names}


async def test_a_route_is_an_ingress_a_service_and_its_endpoints(proxy: ClassicProxy, cluster: Cluster):
    assert await proxy.change_routes([route("ada")], []) == {}
    assert await proxy.get_all_routes() == {"/user/ada/": route("ada")}
    assert await cluster.backends() == {"/user/ada/": "10.0.0.2:8888"}
    assert await proxy.change_routes([route("ada", "10.0.0.3", 2)], []) == {}
    await eventually(lambda: _has(proxy, route("ada", "10.0.0.3", 2)), 5, "the route as it is now")
    assert await cluster.backends() == {"/user/ada/": "10.0.0.3:8888"}
    assert await proxy.change_routes([], ["/user/ada/", "/user/nobody/"]) == {}
    await eventually(lambda: lists(proxy), 5, "no route")
    assert [await cluster.names(path) for path in (INGRESSES, SERVICES, ENDPOINTS)] == [set(), set(), set()]
    assert await proxy.answers()


async def _has(proxy: ClassicProxy, wanted: ProxyRoute) -> bool:
    return (await proxy.get_all_routes()).get(wanted["routespec"]) == wanted


async def test_many_at_once_with_odd_names(proxy: ClassicProxy, cluster: Cluster):
    names = ["Ada", "ada", "a%20b", "%C3%A9", "at@x", "a" * 80, *(f"u{number}" for number in range(30))]
    assert await proxy.change_routes([route(name) for name in names], []) == {}
    assert await lists(proxy, *names)
    assert len(await cluster.backends()) == len(names)
    assert await proxy.change_routes([], [f"/user/{name}/" for name in names]) == {}
    assert await cluster.names(INGRESSES) == set()


async def test_what_others_have_made_is_left_alone(proxy: ClassicProxy, cluster: Cluster):
    labels = {"app": "theirs"}
    for path in (INGRESSES, SERVICES):
        await cluster.ask("POST", path, {"metadata": {"name": "theirs", "labels": labels}, "spec": {"rules": []}})
    assert await proxy.change_routes([route("ada")], []) == {}
    assert await lists(proxy, "ada")
    assert await proxy.change_routes([], ["/user/ada/"]) == {}
    assert await cluster.names(INGRESSES) == await cluster.names(SERVICES) == {"theirs"}


async def test_what_is_deleted_behind_our_back_is_seen(proxy: ClassicProxy, cluster: Cluster):
    assert await proxy.change_routes([route("ada"), route("bob")], []) == {}
    [name] = [name for name in await cluster.names(INGRESSES) if "ada" in name]
    await cluster.ask("DELETE", f"{INGRESSES}/{name}")
    await eventually(lambda: lists(proxy, "bob"), 2, "one route less")
    assert await proxy.change_routes([route("ada")], []) == {}
    assert await lists(proxy, "ada", "bob")


async def test_another_proxy_sync_finds_what_one_has_left(
    proxy: ClassicProxy, cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    assert await proxy.change_routes([route("ada", attempt=3)], []) == {}
    await proxy.close()
    other = proxy_in(tmp_path, monkeypatch)
    await other.start()
    assert await other.get_all_routes() == {"/user/ada/": route("ada", attempt=3)}
    await other.close()


async def test_one_that_cannot_see_the_cluster_is_not_there_until_it_can(
    cluster: Cluster, kube: KubeRig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    port = free_port()
    config = Config()
    config.KubeIngressProxy.k8s_api_host = f"http://127.0.0.1:{port}"
    proxy = proxy_in(tmp_path, monkeypatch, config)
    starting = asyncio.create_task(proxy.start())
    await eventually(lambda: _complains(proxy), 20, "a complaint")
    assert not await proxy.answers()
    async with relay(port, int(kube.url.rpartition(":")[2])):
        await asyncio.wait_for(starting, 30)
        assert await proxy.change_routes([route("ada")], []) == {}
        await proxy.close()


@asynccontextmanager
async def relay(port: int, to: int) -> AsyncIterator[None]:
    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", to)
        await asyncio.gather(pipe(reader, back), pipe(there, writer))

    async with await asyncio.start_server(join, "127.0.0.1", port):
        yield


async def _complains(proxy: ClassicProxy) -> bool:
    return bool(proxy.complaint)


async def _cannot_see(proxy: ClassicProxy) -> bool:
    try:
        await proxy.get_all_routes()
    except ProxyUnavailable as error:
        return "cannot see its routes" in str(error)
    return False


async def test_one_that_has_given_up_is_made_anew(proxy: ClassicProxy, cluster: Cluster):
    assert await proxy.change_routes([route("ada")], []) == {}
    first = proxy._life.proxy

    def give_up() -> None:
        """As after a minute without an API."""
        first.ingress_reflector.watch_task.cancel()

    await proxy._floor.call(give_up, patience=5)
    returned = asyncio.Event()
    await eventually(lambda: _cannot_see(proxy), 5, "it says so")
    watching = asyncio.create_task(proxy.watch(returned.set))
    await asyncio.wait_for(returned.wait(), 15)
    assert proxy._life.proxy is not first
    assert await lists(proxy, "ada")
    watching.cancel()
