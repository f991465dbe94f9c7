"""Which server HAProxy leads a request to: the one that configurable-http-proxy would, or the hub; never another."""

import asyncio
import json
import os
import random
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from haproxy_rig import TOKEN, Heard, Yard, ask, free_port, upstream

from hubbub_local.services import proxy_command
from hubbub_proxy_sync.proxies import ConfigurableHTTPProxy, Proxy
from hubbub_proxy_sync.proxies.process import Record
from hubbub_proxy_sync.proxies.site import Hub, Site

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="module")]

ROUTES = {
    "ada": "/user/ada/",
    "ada's lab": "/user/ada/lab/",
    "ad": "/user/ad/",
    "bob": "/user/bob/",
    "space": "/user/a%20b/",
    "unicode": "/user/%C3%A9l%C3%A8ve/",
    "mail": "/user/~ada@example.org/",
    "quoted quote": "/user/a%2520b/",
    "percent": "/user/100%25/",
    "marks": "/user/a%3Fb%23c/",
    "backslash": "/user/%5C/",
    "plus": "/user/a%2Bb/",
    "semicolon": "/user/a%3Bb/",
    "bar": "/user/a%7Cb/",
    "announce": "/services/announce/",
    "user": "/user/user/",
}
HUB = "the hub"

#: Request targets, and whose they are with both proxies.
PATHS = {
    "/": HUB,
    "/hub/login?next=/user/ada/": HUB,
    "/user/ada/": "ada",
    "/user/ada": "ada",
    "/user/ada?x=/user/bob/": "ada",
    "/user/ada/x?y=%2F..%2Fbob": "ada",
    "/user/ada/labs": "ada",
    "/user/ada/lab": "ada's lab",
    "/user/ada/lab/tree/a%2Fb": "ada's lab",
    "/user/ad": "ad",
    "/user/adam/": HUB,
    "/user/ADA/": HUB,
    "/user/%61da/": "ada",
    "/us%65r/bob/": "bob",
    "/user/ada%2Fx": "ada",
    "/user%2Fada/x": "ada",
    "/user/ada%2F..%2Fbob/": "ada",
    "/user/ada/%2e%2e%2fbob/": "ada",
    "/user//ada/": HUB,
    "/user/ada//x": "ada",
    "/user/ada/%2F/x": "ada",
    "/user/ada/...": "ada",
    "/user/ada/.x/..y": "ada",
    "/user/ada;x/": HUB,
    "/user/ada/%00": "ada",
    "/user/ada%00/": HUB,
    "/user/a%20b/x": "space",
    "/user/a+b/x": "plus",
    "/user/a%2Bb/x": "plus",
    "/user/a%2bb/x": "plus",
    "/user/a;b/": "semicolon",
    "/user/a%7cb/": "bar",
    "/user/a|b/": "bar",
    "/user/%C3%A9l%C3%A8ve/tree": "unicode",
    "/user/%c3%a9l%c3%a8ve/tree": "unicode",
    "/user/~ada@example.org/": "mail",
    "/user/%7Eada%40example.org/": "mail",
    "/user/a%2520b/": "quoted quote",
    "/user/100%25/": "percent",
    "/user/a%3Fb%23c/": "marks",
    "/user/a%3fb%23c/?q": "marks",
    "/user/%5C/x": "backslash",
    "/user/%5c/": "backslash",
    "/user/ada/%5C../bob/": "ada",
    "/services/announce": "announce",
    "/user/ada/" + "x" * 8000: "ada",
    "/user/ada/" + "%20/" * 2000: "ada",
    "/user/user/ada/": "user",
    "http://{host}/user/ada/x?y": "ada",
    "http://{host}": HUB,
}
#: Here HAProxy leads to the hub, or to nobody, where the other resolves something first.
CAUTIOUS = [
    "/user/ada/../bob/",
    "/user/ada/..",
    "/user/ada/%2e%2e/bob/",
    "/user/ada/.%2E/bob",
    "/user/ada/./x",
    "/user/./ada/",
    "/..",
    "//user/ada/",
    "///user/ada/x",
    "//127.0.0.1/user/ada/",
    "/%2Fuser/ada/",
    "/user\\ada\\",
    "/user/ada/..\\bob/",
    "/user/ada/x\\..\\..\\bob/",
    "/user/ada/%zz",
    "/user/ada/%",
    "/user/ada/%4",
    "/user/ada%zz/",
    "/user/ada#x",
    "/user/ada/?q#x",
    "/user/ada/#/../bob/",
    "*",
    "user/ada/",
    "/user/\u00e9l\u00e8ve/",
]
#: What no server of ours understands, so that it matters only that it is nobody else's.
UNREADABLE = {"/user/ada/%FF": "ada", "/user/ada/%C3%28": "ada", "/user/%FF/": HUB}


@dataclass(frozen=True)
class Both:
    haproxy: Proxy
    chp: Proxy
    port: int
    chp_port: int

    async def compared(self, target: str) -> tuple[Heard, Heard]:
        first = await ask(self.port, target.replace("{host}", f"127.0.0.1:{self.port}"), host=f"127.0.0.1:{self.port}")
        port = self.chp_port
        return first, await ask(port, target.replace("{host}", f"127.0.0.1:{port}"), host=f"127.0.0.1:{port}")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def both(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Both]:
    """The same routes in both."""
    folder = tmp_path_factory.mktemp("paths")
    async with AsyncExitStack() as stack:
        yard = Yard(folder / "haproxy")
        stack.push_async_callback(yard.close)
        hub = await stack.enter_async_context(upstream(HUB))
        haproxy = yard.driver(site={"hub": Hub(url=f"{hub}/hub/")})
        chp = _chp(folder / "chp", hub)
        stack.callback(_kill, folder / "chp")
        stack.push_async_callback(chp.close)
        for proxy in (haproxy, chp):
            await proxy.start()
            await proxy.add_route("/", hub, {"hub": True})
        for name, spec in ROUTES.items():
            url = await stack.enter_async_context(upstream(name))
            for proxy in (haproxy, chp):
                await proxy.add_route(spec, url, {"user": name})
        yield Both(haproxy, chp, yard.port, int(chp.public_url.rpartition(":")[2].strip("/")))


def _chp(folder: Path, hub: str) -> ConfigurableHTTPProxy:
    command = json.loads(os.environ.get("HUBBUB_CHP_COMMAND") or proxy_command())
    site = Site(
        name="one",
        bind_url=f"http://127.0.0.1:{free_port()}/",
        api_url=f"http://127.0.0.1:{free_port()}",
        hub=Hub(url=f"{hub}/hub/"),
        folder=folder,
        token=TOKEN,
        command=tuple(command),
    )
    return ConfigurableHTTPProxy(site=site)


def _kill(folder: Path) -> None:
    if record := Record.read(folder / "run" / "proxy-one.json"):
        os.kill(record.pid, signal.SIGKILL)


@pytest.mark.parametrize("target", PATHS)
async def test_a_path_leads_where_it_means_to_and_arrives_to_the_letter(both: Both, target: str) -> None:
    haproxy, chp = await both.compared(target)
    assert (PATHS[target], PATHS[target]) == (haproxy.name, chp.name)
    if target.startswith("/"):
        assert haproxy.path == target
    else:
        assert haproxy.path == (target.removeprefix("http://{host}") or "/")


@pytest.mark.parametrize("target", CAUTIOUS)
async def test_what_would_have_to_be_resolved_first_is_the_hubs_or_nobodys(both: Both, target: str) -> None:
    haproxy, chp = await both.compared(target)
    assert haproxy.name in ("", HUB)
    assert haproxy.name == HUB or haproxy.status == 400
    assert chp.name != "nobody"


@pytest.mark.parametrize("target", UNREADABLE)
async def test_what_is_no_utf8_leads_to_nobody_else(both: Both, target: str) -> None:
    haproxy, _ = await both.compared(target)
    assert UNREADABLE[target] == haproxy.name


async def test_no_path_leads_to_anybody_but_whom_the_other_leads_to(both: Both) -> None:
    """Paths of a thousand made-up shapes; those that no server could read are led to no server by the other."""
    made = random.Random(6)
    parts = [
        "user",
        "ada",
        "bob",
        "ad",
        "lab",
        "a%20b",
        "a+b",
        "%61da",
        "b%6Fb",
        "..",
        ".",
        "%2e%2E",
        "\\",
        "%5C",
        "x",
        "",
    ]
    parts += [
        "%2F",
        "%2f..",
        "%00",
        "a%2520b",
        "a%3Bb",
        "a;b",
        ";",
        "~ada@example.org",
        "%25",
        "|hub",
        "%7Chub",
        "user",
    ]
    differing = []
    for start in range(0, 1000, 20):
        targets = ["/" + "/".join(made.choices(parts, k=made.randint(1, 6))) for _ in range(start, start + 20)]
        for target, (haproxy, chp) in zip(targets, await asyncio.gather(*map(both.compared, targets)), strict=True):
            if haproxy.name not in (chp.name, HUB) and not (haproxy.name == "" and haproxy.status == 400):
                differing.append((target, haproxy.name or haproxy.status, chp.name or chp.status))
            elif haproxy.name:
                assert haproxy.path == target
    assert differing == []
