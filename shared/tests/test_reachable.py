"""What the addresses in a configuration come to is said before anybody waits for an answer in vain."""

import pytest
from traitlets.config import Config

from hubbub.config import ConfigError, Options
from hubbub.reachable import doubts
from hubbub.settings import Settings


def options(settings: Settings | None = None, **said: object) -> Options:
    return Options(Config({"JupyterHub": said}), settings)


def known(name: str) -> str:
    if name not in ("hub.example.org", "10.0.0.5"):
        raise OSError(name)
    return "10.0.0.5"


def said(read: Options, *, elsewhere: bool = False, contained: bool = False) -> str:
    return " ".join(doubts(read, pool="default", elsewhere=elsewhere, contained=contained, resolve=known))


@pytest.mark.parametrize(
    "addresses",
    [
        {"bind_url": "http://:8081", "hub_bind_url": "http://127.0.0.1:8081"},
        {"bind_url": "http://10.0.0.1:9000", "hub_bind_url": "http://10.0.0.1:9000"},
        {"port": 8081, "hub_port": 8081},
    ],
)
def test_two_at_one_address_are_an_error_that_names_both(addresses: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"c\.JupyterHub\.bind_url is .*, and c\.JupyterHub\.hub_bind_url has port"):
        options(**addresses)


@pytest.mark.parametrize(
    "addresses",
    [
        {"bind_url": "http://10.0.0.1:9000", "hub_bind_url": "http://127.0.0.1:9000"},
        {"bind_url": "http://:8000", "hub_bind_url": "http://:8081"},
        {"bind_url": "http://:8081"},  # `hubbub up` chooses another port for the hub
    ],
)
def test_two_at_two_are_none(addresses: dict[str, object]) -> None:
    options(**addresses)


def test_a_service_by_itself_has_the_usual_ports() -> None:
    with pytest.raises(ConfigError, match="has port 8081 already"):
        options(Settings(instance="api-1"), bind_url="http://:8081")


def test_the_proxy_of_others_may_be_where_it_likes() -> None:
    traits = Config({"JupyterHub": {"bind_url": "http://:8081"}, "ConfigurableHTTPProxy": {"should_start": False}})
    Options(traits, Settings(instance="api-1"))


def test_servers_of_this_host_find_a_hub_on_it() -> None:
    assert said(options()) == ""
    assert said(options(hub_connect_ip="10.0.0.5")) == ""
    assert said(options(hub_connect_ip="hub.example.org")) == ""


def test_a_name_that_nobody_knows_is_named() -> None:
    assert "'hub', a name" in said(options(hub_connect_ip="hub"))
    assert "hub_connect_ip" in said(options(hub_connect_ip="hub", hub_ip="0.0.0.0"), elsewhere=True)


@pytest.mark.parametrize("where", [{"elsewhere": True}, {"contained": True}])
def test_a_hub_at_127_0_0_1_is_found_by_nobody_elsewhere(where: dict[str, bool]) -> None:
    for read in (options(), options(hub_ip="0.0.0.0"), options(hub_connect_url="http://localhost:8081")):
        assert "cannot reach: set c.JupyterHub.hub_connect_ip" in said(read, **where)
    assert "listens at 127.0.0.1 alone" in said(options(hub_connect_ip="10.0.0.5"), **where)
    assert said(options(hub_ip="0.0.0.0", hub_connect_ip="10.0.0.5"), **where) == ""


def test_a_name_of_a_container_network_need_not_be_known_outside() -> None:
    assert said(options(hub_ip="0.0.0.0", hub_connect_ip="hub"), contained=True) == ""


def test_a_spawner_that_is_told_by_itself_is_left_alone() -> None:
    traits = Config({"Spawner": {"hub_connect_url": "http://hub:8081"}})
    assert said(Options(traits), elsewhere=True) == ""
