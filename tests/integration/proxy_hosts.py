"""What a proxy of any make has to do when everybody's servers have a host of their own (`subdomain_host`)."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio
from websockets.asyncio.client import connect

from proxy_paths import HUB, NOBODY
from proxy_stage import Kind, Stage, stage
from proxy_streams import echoes
from stack import eventually

CONFIG = """
import os
c.JupyterHub.subdomain_host = "http://hub.test"
c.Proxy.extra_routes = {"extra.hub.test/extra/": os.environ["TEST_EXTRA"]}
"""
PEOPLE = ("ada", "bob", "jürgen")
#: Of whom a host is not.
ELSEWHERE = (
    "hub.test", "bob.hub.test", "xada.hub.test", "ada.hub.test.evil.test", "ada.hub.testx", "ada", "127.0.0.1",
    "ada.hub.test@bob.hub.test", "ada%2ehub.test", "ada.hub.test/", "ada.hub.test%00.bob.hub.test", "ada..hub.test",
    "[ada.hub.test]", "*.hub.test",
)  # fmt: skip


@pytest.mark.asyncio(loop_scope="class")
class HostSuite:
    @pytest_asyncio.fixture(scope="class", loop_scope="class")
    @classmethod
    async def stage(cls, kind: Kind, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
        hosts = replace(kind, config=kind.config + CONFIG)
        async with stage(hosts, tmp_path_factory.mktemp("hosts")) as made:
            await made.hub.api("POST", "/users", {"usernames": list(PEOPLE)})
            await asyncio.gather(*(made.start(name) for name in PEOPLE), made.start("ada", "lab"))
            made.hosts |= {"service": "page--service.hub.test", "extra": "extra.hub.test"}
            yield made

    async def test_each_has_a_host_and_is_found_there(self, stage: Stage):
        assert stage.hosts["ada"] == stage.hosts["ada/lab"] == "ada.hub.test"
        assert len(set(stage.hosts.values())) == len(stage.hosts) - 1
        for whose, host in stage.hosts.items():
            for spelled in (host, f"{host}:8000"):
                target = f"{stage.places[whose]}x%2Fy?host={spelled}"
                answer = await stage.ask(target, host=spelled)
                assert (stage.whose(answer), answer.json()["target"]) == (whose, target)
                [seen] = [value for name, value in answer.json()["headers"] if name.lower() == "host"]
                assert seen == spelled

    async def test_a_host_that_is_spelled_as_no_browser_does_is_the_same_or_the_hubs(self, stage: Stage):
        for whose, host in stage.hosts.items():
            for spelled in (host.upper(), f"{host}.", f"{host}.:80"):
                assert stage.whose(await stage.ask(stage.places[whose], host=spelled)) in (whose, HUB, NOBODY)

    @pytest.mark.parametrize("host", ELSEWHERE)
    async def test_nobody_is_found_on_a_host_that_is_not_theirs(self, stage: Stage, host: str):
        for headers in ((), ("X-Forwarded-Host: ada.hub.test",), ("Forwarded: host=ada.hub.test",)):
            answer = await stage.ask("/user/ada/x", *headers, host=host)
            assert stage.whose(answer) in (HUB, NOBODY), answer

    async def test_two_hosts_in_one_request_lead_to_nobody_or_to_the_one_whose_path_it_is(self, stage: Stage):
        for target, headers in (
            ("/user/bob/x", ("Host: bob.hub.test",)),
            ("http://bob.hub.test/user/bob/x", ()),
            ("http://bob.hub.test:8000/user/bob/x", ()),
        ):
            answer = await stage.ask(target, *headers, host="ada.hub.test")
            assert stage.whose(answer) in ("bob", HUB, NOBODY), answer

    async def test_a_path_of_the_hub_is_the_hubs_on_every_host(self, stage: Stage):
        for host in ("hub.test", "evil.test"):
            assert stage.whose(await stage.ask("/hub/login", host=host)) == HUB
        for host in ("ada.hub.test", "nobody.hub.test"):
            answer = await stage.ask("/hub/home", host=host)
            assert stage.whose(answer) in (HUB, NOBODY), answer

    async def test_a_web_socket_is_opened_on_its_host(self, stage: Stage):
        port = stage.hub.url.rstrip("/").rpartition(":")[2]
        place = stage.places["jürgen"]
        async with connect(f"ws://{stage.hosts['jürgen']}{place}_ws", host="127.0.0.1", port=int(port)) as opened:
            await echoes(opened, "on her host")

    async def test_a_proxy_that_died_is_back_with_its_hosts(self, stage: Stage):
        for process in stage.hub.proxies():
            process.kill()

        async def is_back() -> bool:
            try:
                answers = [await stage.ask(stage.places[whose], host=host) for whose, host in stage.hosts.items()]
            except (OSError, EOFError):
                return False
            return [stage.whose(answer) for answer in answers] == list(stage.hosts)

        await eventually(is_back, 20, "all hosts")

    async def test_no_upstream_has_seen_what_is_not_its_own(self, stage: Stage):
        for whose, host in stage.hosts.items():
            assert (await stage.ask(f"{stage.places[whose]}_seen", host=host)).json()["strays"] == []
