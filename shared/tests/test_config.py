"""`jupyterhub_config.py`: what is read from it, and what is said when it cannot be."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from traitlets.config import Config

from hubbub.config import ConfigError, Options, load
from hubbub.domain.scope_tree import ADMIN_ROLE
from hubbub.honoured import HONOURED
from hubbub.roles import Roles
from hubbub.sections import class_names
from hubbub.settings import Settings

Load = Callable[..., Options]


@pytest.fixture
def loaded(tmp_path: Path) -> Load:
    """Loads what is written, as an operator's file."""

    def read(*lines: str, **settings: Any) -> Options:
        file = tmp_path / "jupyterhub_config.py"
        file.write_text("\n".join(("c = get_config()", *lines)), encoding="utf-8")
        return load(file, Settings(instance="test", **settings))

    return read


def hub(**options: Any) -> Options:
    return Options(Config({"JupyterHub": options}))


BAD = [
    ("c.JupyterHub.port = = 8000", r"jupyterhub_config\.py, line 2: invalid syntax"),
    ("import no_such_thing", r"jupyterhub_config\.py imports 'no_such_thing', which is not installed here"),
    ("from os import no_such_thing", r"ImportError: cannot import name 'no_such_thing'"),
    ("1 / 0", r"jupyterhub_config\.py: ZeroDivisionError: division by zero"),
    ("c.JupyterHub.port = '8000'", r"c\.JupyterHub\.port: Expected `int`, got `str`"),
    ("c.JupyterHub.port = 99999", r"c\.JupyterHub\.port is 99999"),
    ("c.JupyterHub.hub_port = -1", r"c\.JupyterHub\.hub_port is -1"),
    ("c.JupyterHub.bind_url = 'localhost:8000'", r"c\.JupyterHub\.bind_url: 'localhost:8000' is not an address"),
    ("c.JupyterHub.bind_url = 'http://:99999'", r"c\.JupyterHub\.bind_url: .*Port out of range"),
    ("c.JupyterHub.bind_url = 'http://[::1'", r"c\.JupyterHub\.bind_url: .*Invalid IPv6"),
    ("c.JupyterHub.hub_bind_url = 'http+unix://x'", r"c\.JupyterHub\.hub_bind_url: "),
    ("c.JupyterHub.hub_connect_url = 'ftp://x'", r"c\.JupyterHub\.hub_connect_url: "),
    ("c.ConfigurableHTTPProxy.api_url = 'x'", r"c\.ConfigurableHTTPProxy\.api_url: "),
    ("c.JupyterHub.services = {}", r"c\.JupyterHub\.services: Expected `array`"),
    ("c.JupyterHub.services = ['x']", r"c\.JupyterHub\.services: .*\[0\]"),
    ("c.JupyterHub.services = [{'name': 'a'}, {}]", r"c\.JupyterHub\.services\[1\] has no name"),
    ("c.JupyterHub.services = [{'name': 'a', 'api_token': 'short'}]", "the api_token of service a must have 8 to 64"),
    ("c.JupyterHub.services = [{'name': 'a', 'api_token': 'x' * 65}]", "the api_token of service a must have 8 to 64"),
    ("c.JupyterHub.services = [{'name': 'a', 'api_token': 12345678}]", "the api_token of service a must have 8 to 64"),
    ("c.JupyterHub.load_roles = [{'scopes': ['proxy']}]", r"c\.JupyterHub\.load_roles\[0\]: A role is .* with a name"),
    ("c.JupyterHub.load_roles = [{'name': 'r', 'users': 'ada'}]", r"c\.JupyterHub\.load_roles\[0\]: .*'r'"),
    ("c.JupyterHub.allow_named_servers = 'yes'", r"c\.JupyterHub\.allow_named_servers: "),
    ("c.JupyterHub.api_page_max_limit = 0", "must be at least 1"),
    ("c.JupyterHub.tornado_settings = {'slow_spawn_timeout': 'x'}", "slow_spawn_timeout: Expected `float`"),
    ("c.Hubbub.spawn_retries = 1.5", r"c\.Hubbub\.spawn_retries: "),
    ("c.Spawner.start_timeout = 'long'", r"c\.Spawner\.start_timeout: "),
    ("c.Proxy.should_start = 'no'", r"c\.Proxy\.should_start: "),
]


@pytest.mark.parametrize(("line", "match"), BAD, ids=[line for line, _ in BAD])
def test_what_is_wrong_is_named(loaded: Load, line: str, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        loaded(line)


def test_a_short_token_is_not_repeated(loaded: Load) -> None:
    with pytest.raises(ConfigError) as error:
        loaded("c.JupyterHub.services = [{'name': 'a', 'api_token': 'secret'}]")
    assert "secret" not in str(error.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.py", tmp_path):
        with pytest.raises(ConfigError, match=f"no configuration file {path}"):
            load(path)


def test_a_syntax_error_in_a_file_that_is_loaded_names_that_file(loaded: Load, tmp_path: Path) -> None:
    (tmp_path / "more.py").write_text("c.JupyterHub.port = = 1")
    with pytest.raises(ConfigError, match=r"more\.py, line 1"):
        loaded("load_subconfig('more.py')")


def test_no_file_is_no_option() -> None:
    options = load("")
    assert options.warnings == []
    assert options.bind_url == "http://:8000/"
    assert options.hub_bind_url == "http://127.0.0.1:8081/hub/"


PUBLIC = [
    ({}, "http://:8000/"),
    ({"port": 9000}, "http://:9000/"),
    ({"ip": "127.0.0.1"}, "http://127.0.0.1:8000/"),
    ({"ip": "::1", "port": 9000}, "http://[::1]:9000/"),
    ({"base_url": "/jupyter"}, "http://:8000/jupyter/"),
    ({"base_url": "jupyter/"}, "http://:8000/jupyter/"),
    ({"bind_url": "http://127.0.0.1:9000"}, "http://127.0.0.1:9000/"),
    ({"bind_url": "http://127.0.0.1:9000/x"}, "http://127.0.0.1:9000/x/"),
    ({"bind_url": "https://:443/x/"}, "http://:443/x/"),
    ({"bind_url": "https://:443/x/", "ssl_key": "k", "ssl_cert": "c"}, "https://:443/x/"),
    ({"bind_url": "http://:443/x/", "ssl_key": "k", "ssl_cert": "c"}, "https://:443/x/"),
    ({"ssl_key": "k", "ssl_cert": "c"}, "https://:8000/"),
    ({"bind_url": "http://:9000", "base_url": "/x/"}, "http://:9000/x/"),
    ({"bind_url": "http://:9000/y/", "base_url": "/x/"}, "http://:9000/x/"),
    ({"bind_url": "http://127.0.0.1:9000/x/", "port": 9001}, "http://127.0.0.1:9001/x/"),
    ({"bind_url": "http://127.0.0.1:9000/x/", "ip": "10.0.0.1"}, "http://10.0.0.1:9000/x/"),
]


@pytest.mark.parametrize(("options", "url"), PUBLIC)
def test_where_people_come_in(options: dict[str, Any], url: str) -> None:
    assert hub(**options).bind_url == url


HUB = [
    ({}, "http://127.0.0.1:8081/hub/", "http://127.0.0.1:8081"),
    ({"hub_port": 9001}, "http://127.0.0.1:9001/hub/", "http://127.0.0.1:9001"),
    ({"hub_ip": "0.0.0.0"}, "http://0.0.0.0:8081/hub/", "http://127.0.0.1:8081"),
    ({"hub_ip": ""}, "http://:8081/hub/", "http://127.0.0.1:8081"),
    ({"hub_ip": "::"}, "http://[::]:8081/hub/", "http://127.0.0.1:8081"),
    ({"hub_ip": "::1"}, "http://[::1]:8081/hub/", "http://[::1]:8081"),
    ({"hub_ip": "10.0.0.1"}, "http://10.0.0.1:8081/hub/", "http://10.0.0.1:8081"),
    ({"hub_connect_ip": "hub.local"}, "http://127.0.0.1:8081/hub/", "http://hub.local:8081"),
    ({"hub_bind_url": "http://10.0.0.1:9001"}, "http://10.0.0.1:9001/hub/", "http://10.0.0.1:9001"),
    ({"hub_bind_url": "http://10.0.0.1:9001", "hub_port": 1}, "http://10.0.0.1:9001/hub/", "http://10.0.0.1:9001"),
    ({"hub_connect_url": "https://hub:8443/"}, "http://127.0.0.1:8081/hub/", "https://hub:8443"),
    ({"base_url": "/x"}, "http://127.0.0.1:8081/x/hub/", "http://127.0.0.1:8081"),
]


@pytest.mark.parametrize(("options", "listens", "reached"), HUB)
def test_where_the_api_listens_and_is_reached(options: dict[str, Any], listens: str, reached: str) -> None:
    read = hub(**options)
    assert (read.hub_bind_url, read.hub_connect_url) == (listens, reached)
    assert read.hub_api_url == f"{reached}{read.base_url}hub/api"


def test_an_empty_address_is_every_address() -> None:
    assert hub(hub_ip="").hub_ip == "0.0.0.0"
    assert hub(hub_ip="::1").hub_ip == "::1"


def test_the_environment_has_the_last_word() -> None:
    settings = Settings(
        instance="x", bind_url="http://:1/b", hub_bind_url="http://:2/b/hub", proxy_api_url="http://:3/"
    )
    options = Options(Config({"JupyterHub": {"bind_url": "http://:9", "base_url": "/c/", "hub_port": 9}}), settings)
    assert options.bind_url == "http://:1/b/"
    assert options.base_url == "/b/"
    assert options.hub_bind_url == "http://:2/b/hub/"
    assert options.proxy_api_url == "http://:3"
    with pytest.raises(ConfigError, match="HUBBUB_BIND_URL"):
        Options(Config(), Settings(instance="x", bind_url="nonsense"))


def test_an_option_without_effect_is_named() -> None:
    options = Options(
        Config(
            {
                "JupyterHub": {"port": 1, "upgrade_db": True},
                "Spawner": {"cmd": ["x"], "mem_limt": "1G"},
                "Jupyterhub": {"prot": 1},
            }
        )
    )
    assert [warning.partition(" ")[0] for warning in options.warnings] == [
        "c.JupyterHub.upgrade_db",
        "c.Jupyterhub.prot",
        "c.Spawner.mem_limt",
    ]


def test_options_of_a_class_of_the_operators_own_have_their_effect_there(loaded: Load) -> None:
    options = loaded(
        "class Mine: pass",
        "class Ours(Mine): pass",
        "c.JupyterHub.spawner_class = Ours",
        "c.JupyterHub.authenticator_class = 'some.where.Checker'",
        "c.Mine.a = c.Ours.b = c.Checker.d = 1",
    )
    assert options.warnings == []


def test_options_of_a_class_of_others_are_taken_for_used(loaded: Load) -> None:
    """What it is derived from is known to those alone who import it; it may be called like one of ours."""
    lines = [
        "c.LDAPAuthenticator.theirs = c.BaseAuthenticator.a = c.BaseSpawner.b = c.Hooks.c = 1",
    ]
    named = {}
    for kind in ("some.where.LDAPAuthenticator", "some.where.MineAuthenticator", "dummy"):
        options = loaded(f"c.JupyterHub.authenticator_class = '{kind}'", *lines)
        named[kind] = {warning.partition(" ")[0].removeprefix("c.") for warning in options.warnings}
    never = {"BaseSpawner.b", "Hooks.c"}
    assert named == {
        "some.where.LDAPAuthenticator": never | {"BaseAuthenticator.a"},
        "some.where.MineAuthenticator": never | {"LDAPAuthenticator.theirs"},
        "dummy": never | {"BaseAuthenticator.a", "LDAPAuthenticator.theirs"},
    }


def test_what_is_honoured_is_what_is_read() -> None:
    for section, shape in (("JupyterHub", Options(Config()).hub), ("Hubbub", Options(Config()).ours)):
        assert set(shape.__struct_fields__) == HONOURED[section]


def test_a_more_specific_class_has_the_last_word() -> None:
    read = {"Spawner": {"start_timeout": 1, "http_timeout": 2}, "SimpleLocalProcessSpawner": {"start_timeout": 3}}
    assert Options(Config({"JupyterHub": {"spawner_class": "simple"}, **read})).spawner.start_timeout == 3
    assert Options(Config(read)).spawner.start_timeout == 1
    assert Options(Config({"Proxy": {"should_start": False}})).proxy_should_start is False


@pytest.mark.parametrize(
    ("said", "names"),
    [
        ("simple", ["LocalProcessSpawner", "SimpleLocalProcessSpawner"]),
        ("jupyterhub.spawner.SimpleLocalProcessSpawner", ["LocalProcessSpawner", "SimpleLocalProcessSpawner"]),
        ("localprocess", ["LocalProcessSpawner"]),
        ("default", ["LocalProcessSpawner"]),
        ("some.where.Else", ["Else"]),
        ("dummy", ["DummyAuthenticator"]),
        ("pam", ["LocalAuthenticator", "PAMAuthenticator"]),
        ("hubbub-oidc", ["OIDCAuthenticator"]),
        ("nosuch", ["nosuch"]),
    ],
)
def test_options_stand_under_the_name_of_the_class_that_a_short_name_means(said: str, names: list[str]) -> None:
    assert class_names(said) == names


def test_slow_spawn_timeout_may_stand_in_two_places() -> None:
    tornado = {"tornado_settings": {"slow_spawn_timeout": 3, "headers": {}}}
    assert hub(**tornado).ours.slow_spawn_timeout == 3
    assert Options(Config({"JupyterHub": tornado, "Hubbub": {"slow_spawn_timeout": 4}})).ours.slow_spawn_timeout == 4
    assert hub().ours.slow_spawn_timeout == 10


def test_what_is_only_added_to_is_read_too(loaded: Load) -> None:
    options = loaded(
        "c.JupyterHub.services.append({'name': 'culler', 'api_token': 'x' * 32})",
        "c.JupyterHub.tornado_settings.update({'slow_stop_timeout': 2})",
        "c.JupyterHub.admin_users.add('Root')",
        "c.Authenticator.admin_users.add('Ada')",
    )
    assert [service["name"] for service in options.hub.services] == ["culler"]
    assert options.ours.slow_stop_timeout == 2
    assert options.admin_users == {"root", "ada"}


def test_roles_of_the_configuration_come_on_top_of_the_built_in_ones() -> None:
    options = hub(
        load_roles=[
            {"name": "cull", "scopes": ["servers"], "services": ["culler"]},
            {"name": "admin", "users": ["Ada"]},
            {"name": "user", "scopes": ["self", "read:hub"]},
        ],
        services=[{"name": "culler"}, {"name": "root", "admin": True}],
    )
    roles = Roles(options)
    assert roles["admin"] == ADMIN_ROLE
    assert roles.of_user(["cull"], admin=False) == ("user", "cull")
    assert roles.of_user(["cull", "user", "admin"], admin=True) == ("user", "admin", "cull")
    assert roles.of_service("culler", admin=False) == ("cull",)
    assert roles.of_service("root", admin=True) == ("admin",)
    assert "start:servers" in roles.service_scopes("culler", admin=False)
    assert "read:hub" in roles.user_scopes("bob", ["user"])


EQUAL = [
    ({"admin_users": {"a", "b", "c"}}, {"admin_users": {"c", "b", "a"}}),
    ({"tornado_settings": {"a": 1, "b": 2}}, {"tornado_settings": {"b": 2, "a": 1}}),
    ({"admin_users": ["a"]}, {"admin_users": ("a",)}),
]


@pytest.mark.parametrize(("one", "other"), EQUAL)
def test_two_processes_that_read_the_same_agree(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert hub(**one).hashes == hub(**other).hashes


def test_what_differs_is_named_and_what_is_no_plain_value_is_left_out() -> None:
    one = hub(port=1, base_url="/a", spawner_class=Path, logo=print).hashes
    other = hub(port=1, base_url="/b", spawner_class=dict, logo=repr).hashes
    assert {name for name in one | other if one.get(name) != other.get(name)} == {"c.JupyterHub.base_url"}
    assert one.keys() == {"c.JupyterHub.base_url", "c.JupyterHub.port"}
