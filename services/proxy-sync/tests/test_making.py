"""Which driver a configuration leads to, and what that is told of the house."""

from collections.abc import Mapping
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import pytest
from traitlets import Unicode
from traitlets.config import Config

from hubbub.config import Options
from hubbub.proxy_class import GROUP
from hubbub.settings import Settings
from hubbub_proxy_sync.proxies import ConfigurableHTTPProxy, Proxy, ProxyRoute, make

TOKEN = "token-of-the-proxy"


class Loud(ConfigurableHTTPProxy):
    """One of an operator's own, derived from ours."""

    greeting = Unicode().tag(config=True)


class Table(Proxy):
    """The least that one has to have."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.routes: dict[str, ProxyRoute] = {}

    async def add_route(self, routespec: str, target: str, data: Mapping[str, Any]) -> None:
        self.routes[routespec] = ProxyRoute(routespec=routespec, target=target, data=dict(data))

    async def delete_route(self, routespec: str) -> None:
        self.routes.pop(routespec, None)

    async def get_all_routes(self) -> dict[str, ProxyRoute]:
        return self.routes


def made(chosen: Any = "default", *, hub: Mapping[str, Any] | None = None, **said: dict[str, Any]) -> Any:
    traits = Config({"JupyterHub": {"proxy_class": chosen, **(hub or {})}, **said})
    settings = Settings(
        instance="proxy-sync-2", proxy_auth_token=TOKEN, chp_command=("true",), data="/tmp/d", proxy_api_url="http://:7"
    )
    return make(Options(traits, settings), settings)


@pytest.mark.parametrize("chosen", ["default", "configurable-http-proxy", "jupyterhub.proxy.ConfigurableHTTPProxy", ""])
def test_the_usual_one_has_many_names(chosen: str) -> None:
    assert type(made(chosen)) is ConfigurableHTTPProxy


def test_it_is_told_of_the_house() -> None:
    driver = made(hub={"base_url": "/b c/", "hub_port": 9, "subdomain_host": "https://hub.test"})
    site = driver.site
    assert (site.name, site.folder, site.token) == ("proxy-sync-2", Path("/tmp/d").resolve(), TOKEN)
    assert (driver.public_url, driver.host_routing) == ("http://:8000/b%20c/", True)
    assert (driver.hub.url, driver.hub.routespec) == ("http://127.0.0.1:9/b%20c/hub/", "/")
    assert (driver.api_url, driver.auth_token, driver.command) == ("http://:7", TOKEN, ["true"])
    words = driver._program().arguments
    assert {"--host-routing", "http://127.0.0.1:9/b%20c/hub/error"} <= set(words)


def test_options_are_those_of_the_class_and_of_what_it_is_derived_from() -> None:
    driver = made(
        Loud,
        Proxy={"extra_routes": {"/x/": "http://x"}},
        ConfigurableHTTPProxy={"check_running_interval": 1, "concurrency": 3, "command": "sh", "auth_token": "other"},
        Loud={"greeting": "hello", "log_level": "WARN"},
    )
    assert (type(driver), driver.greeting, driver.log_level) == (Loud, "hello", "warn")
    assert (driver.check_running_interval, driver.concurrency, driver.command) == (1.0, 3, "sh")
    assert (driver.extra_routes, driver.auth_token, driver.site.token) == ({"/x/": "http://x"}, "other", "other")


async def test_one_of_an_operators_own_may_be_named_or_given() -> None:
    for chosen in (Table, f"{__name__}.Table"):
        driver = made(chosen)
        assert type(driver).__name__ == "Table"
        await driver.add_route("/user/ada/", "http://127.0.0.1:1", {})
        assert await driver.get_route("/user/ada")
        assert driver.site.api_url == ("" if chosen is Table else "http://:7")


def test_one_that_a_package_has_announced_is_found_by_its_short_name(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("pigeon", "hubbub_proxy_sync.proxies.chp:ConfigurableHTTPProxy", GROUP)
    monkeypatch.setattr("hubbub_proxy_sync.proxies.entry_points", lambda group: EntryPoints([entry]))
    assert type(made("Pigeon")) is ConfigurableHTTPProxy


@pytest.mark.parametrize(
    ("chosen", "said", "words"),
    [
        ("pigeon", {}, "there is no such proxy here; there are configurable-http-proxy, default, haproxy"),
        ("json.Pigeon", {}, "no attribute 'Pigeon'"),
        (dict, {}, "builtins.dict, which is no Proxy"),
        ("default", {"ConfigurableHTTPProxy": {"command": []}}, "command is empty"),
        ("default", {"ConfigurableHTTPProxy": {"log_level": "chatty"}}, "log_level"),
        ("default", {"ConfigurableHTTPProxy": {"command": "no-such"}}, "there is no program no-such"),
    ],
)
def test_what_cannot_be_meant_is_named(
    chosen: Any, said: dict[str, Any], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        made(chosen, **said)
    assert left.value.code == 78
    assert words in capsys.readouterr().err
