"""What an operator sets: options, and what servers are told of them."""

import inspect

import pytest
import traitlets
from hypothesis import given
from hypothesis import strategies as st
from traitlets.config import Config

from hubbub_spawner_worker.spawners import Hub, Server, Spawner, User
from hubbub_spawner_worker.spawners.testing import Bare, made
from hubbub_spawner_worker.spawners.traits import bytes_of


def test_the_defaults_are_those_of_jupyterhub():
    from jupyterhub.spawner import Spawner as Theirs

    class Classic(Theirs):
        start = stop = poll = None

    theirs, ours = Classic(), made()
    names = set(Classic.class_trait_names(config=True)) - {"oauth_roles"}
    assert names <= set(Spawner.class_trait_names(config=True))
    same = names - {"options_from_form"}
    assert {name: getattr(ours, name) for name in same} == {name: getattr(theirs, name) for name in same}
    assert ours.options_from_form({"a": ["1"]}) == theirs.options_from_form({"a": ["1"]})


def test_the_local_spawner_has_jupyterhubs_defaults_too():
    from jupyterhub.spawner import SimpleLocalProcessSpawner as Theirs

    from hubbub_spawner_worker.spawners import SimpleLocalProcessSpawner as Ours

    names = set(Theirs.class_trait_names(config=True)) - {"oauth_roles", "options_from_form"}
    user = User(name="ada", id=7, url="/", escaped_name="ada")
    theirs, ours = Theirs(user=user), Ours(user=user)
    assert {name: getattr(ours, name) for name in names} == {name: getattr(theirs, name) for name in names}
    assert ours.home_dir == theirs.home_dir


def test_the_methods_have_jupyterhubs_names():
    from jupyterhub.spawner import Spawner as Theirs

    not_for_subclasses = {
        *("add_poll_callback", "start_polling", "stop_polling", "poll_and_notify", "wait_for_death", "rename"),
    }
    wanted = {name for name, _ in inspect.getmembers(Theirs, inspect.isfunction) if not name.startswith("_")}
    inherited = set(dir(traitlets.config.LoggingConfigurable))
    assert wanted - inherited - not_for_subclasses <= set(dir(Spawner))


@pytest.mark.parametrize("name", ["cmd", "args"])
def test_a_command_may_be_one_text(name):
    assert getattr(made(**{name: "one word"}), name) == ["one word"]
    assert getattr(made(**{name: ["two", "words"]}), name) == ["two", "words"]


def test_a_command_needs_a_word_but_may_be_left_to_the_spawner():
    assert made(cmd=None).cmd is None
    with pytest.raises(traitlets.TraitError):
        made(cmd=[])


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("512M", 512 << 20),
        ("1.5G", 3 << 29),
        ("2T", 2 << 40),
        ("10K", 10240),
        (4096, 4096),
        (1024.7, 1024),
        (0, 0),
        (None, None),
    ],
)
def test_memory_is_given_in_bytes_or_with_a_unit(said, meant):
    spawner = made(mem_limit=said, mem_guarantee=said)
    assert (spawner.mem_limit, spawner.mem_guarantee) == (meant, meant)


@pytest.mark.parametrize("said", ["512", "1g", "M", "", "nanG", "infG", "-1G", -5, "1 GB", True, [], float("nan")])
def test_what_is_no_size_is_refused(said):
    with pytest.raises(traitlets.TraitError, match="no size"):
        made(mem_limit=said)


@given(st.integers(0, 10**6), st.sampled_from("KMGT"))
def test_units_are_powers_of_1024(number, unit):
    assert bytes_of(f"{number}{unit}") == number * 1024 ** ("KMGT".index(unit) + 1)


def test_old_spellings_are_understood():
    spawner = made(ip="[::1]", notebook_dir="/data/%U", default_url="/lab/%U")
    assert spawner.ip == "::1"
    assert spawner.format_string(spawner.notebook_dir) == "/data/ada"
    assert spawner.format_string(spawner.default_url) == "/lab/ada"


def test_texts_may_hold_what_the_namespace_has():
    class Named(Bare):
        def template_namespace(self):
            return {**super().template_namespace(), "room": 5}

    assert made(Named).format_string("{username} {servername} {base_url} {room}") == "ada lab /base/user/ada/lab/ 5"


@pytest.mark.parametrize(
    ("options", "attributes", "told"),
    [
        ({}, {}, {}),
        ({"mem_limit": "1K", "mem_guarantee": 512}, {}, {"MEM_LIMIT": "1024", "MEM_GUARANTEE": "512"}),
        ({"cpu_limit": 2, "cpu_guarantee": 0.5}, {}, {"CPU_LIMIT": "2.0", "CPU_GUARANTEE": "0.5"}),
        ({"mem_limit": 0, "cpu_limit": 0}, {}, {}),
        ({}, {"admin_access": True}, {"JUPYTERHUB_ADMIN_ACCESS": "1"}),
        (
            {},
            {"cert_paths": {"keyfile": "/k", "certfile": "/c", "cafile": "/a"}},
            {"JUPYTERHUB_SSL_KEYFILE": "/k", "JUPYTERHUB_SSL_CERTFILE": "/c", "JUPYTERHUB_SSL_CLIENT_CA": "/a"},
        ),
        ({"debug": True}, {}, {"JUPYTERHUB_DEBUG": "1"}),
        ({"disable_user_config": True}, {}, {"JUPYTERHUB_DISABLE_USER_CONFIG": "1"}),
        ({"notebook_dir": "~/{username}"}, {}, {"JUPYTERHUB_ROOT_DIR": "~/ada"}),
        ({"default_url": "/lab/{username}"}, {}, {"JUPYTERHUB_DEFAULT_URL": "/lab/ada"}),
        ({}, {"cookie_options": {"secure": True}}, {"JUPYTERHUB_COOKIE_OPTIONS": '{"secure": true}'}),
        ({"environment": {"A": "1", "B": lambda it: it.user.name}}, {}, {"A": "1", "B": "ada"}),
    ],
)
def test_what_is_set_is_told_to_the_server(options, attributes, told):
    plain = made().get_env()
    spawner = made(**options)
    for name, value in attributes.items():
        setattr(spawner, name, value)
    found = spawner.get_env()
    assert {name: found[name] for name in found.keys() - plain.keys()} == told


@pytest.mark.parametrize(
    ("options", "attributes", "name", "value"),
    [
        ({"ip": "::1", "port": 8}, {}, "JUPYTERHUB_SERVICE_URL", "http://[::1]:8/base/user/ada/lab/"),
        ({"ip": "", "port": 8}, {}, "JUPYTERHUB_SERVICE_URL", "http://:8/base/user/ada/lab/"),
        ({"port": 8}, {"internal_ssl": True}, "JUPYTERHUB_SERVICE_URL", "https://127.0.0.1:8/base/user/ada/lab/"),
        ({"hub_connect_url": "http://hub:1/"}, {}, "JUPYTERHUB_API_URL", "http://hub:1/base/hub/api"),
        ({}, {"cookie_host_prefix_enabled": True}, "JUPYTERHUB_COOKIE_HOST_PREFIX_ENABLED", "1"),
        ({"oauth_client_allowed_scopes": ["self"]}, {}, "JUPYTERHUB_OAUTH_CLIENT_ALLOWED_SCOPES", '["self"]'),
        (
            {"oauth_client_allowed_scopes": lambda it: [f"read:users!user={it.user.name}"]},
            {},
            "JUPYTERHUB_OAUTH_CLIENT_ALLOWED_SCOPES",
            '["read:users!user=ada"]',
        ),
        ({}, {"public_url": "https://h/x/"}, "JUPYTERHUB_PUBLIC_URL", "https://h/x/"),
        ({}, {"public_hub_url": "https://h/hub/"}, "JUPYTERHUB_PUBLIC_HUB_URL", "https://h/hub/"),
    ],
)
def test_what_is_always_told_follows_the_options(options, attributes, name, value):
    spawner = made(**options)
    for attribute, said in attributes.items():
        setattr(spawner, attribute, said)
    assert spawner.get_env()[name] == value


WORDS = st.sampled_from(["", "/lab", "~/{username}", "/x/%U"])
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "mem_limit": st.sampled_from([None, 0, 5, "1.5G"]),
        "mem_guarantee": st.sampled_from([None, "1K"]),
        "cpu_limit": st.sampled_from([None, 0, 0.5, 2]),
        "cpu_guarantee": st.sampled_from([None, 1.25]),
        "debug": st.booleans(),
        "disable_user_config": st.booleans(),
        "default_url": WORDS,
        "notebook_dir": WORDS,
        "ip": st.sampled_from(["", "0.0.0.0", "127.0.0.1", "::1", "[::1]", "host"]),
        "port": st.integers(0, 65535),
        "hub_connect_url": st.sampled_from([None, "http://hub:1", "http://hub:1/"]),
        "env_keep": st.sampled_from([[], ["PATH", "NOT_SET"]]),
        "environment": st.sampled_from([{}, {"A": "1", "JUPYTERHUB_HOST": "h"}, {"B": lambda it: it.user.name}]),
        "oauth_client_allowed_scopes": st.sampled_from([[], ["self"]]),
    },
)
ATTRIBUTES = st.fixed_dictionaries(
    {},
    optional={
        "admin_access": st.booleans(),
        "internal_ssl": st.booleans(),
        "cookie_host_prefix_enabled": st.booleans(),
        "cookie_options": st.sampled_from([{}, {"secure": True}]),
        "cert_paths": st.sampled_from([{}, {"keyfile": "/k", "certfile": "/c", "cafile": "/a"}]),
        "public_url": st.sampled_from(["", "https://h/x/"]),
        "public_hub_url": st.sampled_from(["", "https://h/hub/"]),
        "api_token": st.sampled_from(["", "t"]),
    },
)


@given(OPTIONS, ATTRIBUTES)
def test_the_environment_is_that_of_jupyterhub(options, attributes):
    from jupyterhub.spawner import Spawner as Theirs

    class Classic(Theirs):
        start = stop = poll = None

    config = Config()
    config.Spawner.update(options)
    same = {
        "config": config,
        "user": User(name="ada", id=7, url="/base/user/ada/", escaped_name="ada"),
        "hub": Hub(api_url="http://10.0.0.1:8081/base/hub/api", base_url="/base/hub/"),
        "oauth_client_id": "jupyterhub-user-ada",
        "oauth_access_scopes": ["access:servers!user=ada"],
    }
    theirs, ours = Classic(**same), Bare(**same, prefix="/base/user/ada/")
    theirs._server = Server(base_url="/base/user/ada/")
    for name, value in attributes.items():
        setattr(theirs, name, value)
        setattr(ours, name, value)
    assert ours.get_env() == theirs.get_env()


def test_variables_of_the_worker_are_handed_on_if_they_are_named(monkeypatch):
    monkeypatch.setenv("WANTED", "1")
    monkeypatch.setenv("HUBBUB_BUS_KEY", "secret")
    told = made(env_keep=["WANTED", "HUBBUB_BUS_KEY", "NOT_SET"]).get_env()
    assert told["WANTED"] == "1"
    assert not {"HUBBUB_BUS_KEY", "NOT_SET"} & told.keys()


def test_one_spawners_environment_is_not_anothers():
    config = Config()
    config.Spawner.environment = {"A": "1"}
    one, other = Bare(config=config), Bare(config=config)
    one.environment["B"] = "2"
    assert other.environment == {"A": "1"}


def test_args_can_be_extended_by_a_subclass_without_changing_the_option():
    class More(Bare):
        def get_args(self):
            found = super().get_args()
            found.extend(self.user_options.get("argv", []))
            return found

    spawner = made(More, args=["--a"])
    spawner.user_options = {"argv": ["--b"]}
    assert [spawner.get_args(), spawner.get_args(), spawner.args] == [["--a", "--b"], ["--a", "--b"], ["--a"]]
