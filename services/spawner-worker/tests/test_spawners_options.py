"""What an operator sets, a person chooses, a group overrides and a hook does: without a server."""

import asyncio
import inspect
import logging
from typing import Any

import pytest
import traitlets
from hypothesis import given
from hypothesis import strategies as st
from traitlets.config import Config

from hubbub_spawner_worker.spawners import Group, Hub, Server, Spawner, SpawnException, User
from hubbub_spawner_worker.spawners.options import merged, settled, simple, takes_spawner
from hubbub_spawner_worker.spawners.traits import bytes_of


class Remote(Spawner):
    """One of an operator's own."""

    image = traitlets.Unicode("small").tag(config=True)
    workers = traitlets.Integer(1)

    async def start(self):
        return "http://host:1"

    async def stop(self, now=False):
        pass

    async def poll(self):
        return None


class Keeper:
    def __init__(self):
        self.state = {"token": "t"}

    async def get(self):
        return self.state

    async def save(self, state):
        self.state = state


def made(kind=Remote, *, groups=(), **options):
    config = Config()
    config.Spawner.update(options)
    return kind(
        config=config,
        user=User(name="ada", id=7, url="/base/user/ada/", escaped_name="ada", groups=groups, keeper=Keeper()),
        hub=Hub(api_url="http://10.0.0.1:8081/base/hub/api", base_url="/base/hub/"),
        name="lab",
        prefix="/base/user/ada/lab/",
        oauth_access_scopes=["access:servers!user=ada"],
    )


STAFF = Group(name="staff", properties={"room": 5})
PUPILS = Group(name="pupils")


# Options ----------------------------------------------------------------------------------


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
    class Named(Remote):
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
    theirs, ours = Classic(**same), Remote(**same, prefix="/base/user/ada/")
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
    one, other = Remote(config=config), Remote(config=config)
    one.environment["B"] = "2"
    assert other.environment == {"A": "1"}


def test_args_can_be_extended_by_a_subclass_without_changing_the_option():
    class More(Remote):
        def get_args(self):
            found = super().get_args()
            found.extend(self.user_options.get("argv", []))
            return found

    spawner = made(More, args=["--a"])
    spawner.user_options = {"argv": ["--b"]}
    assert [spawner.get_args(), spawner.get_args(), spawner.args] == [["--a", "--b"], ["--a", "--b"], ["--a"]]


# Forms ------------------------------------------------------------------------------------


async def _async_form(spawner):
    return f"<b>{spawner.user.name}</b>"


@pytest.mark.parametrize(
    ("option", "html"),
    [("", ""), ("<b>", "<b>"), (lambda it: f"<b>{it.user.name}</b>", "<b>ada</b>"), (_async_form, "<b>ada</b>")],
)
async def test_the_form_may_be_a_text_or_a_callable(option, html):
    assert await made(options_form=option).get_options_form() == html


FORM = {"image": ["big"], "gpu": ["on"], "libs": ["a", "b"], "none": []}
SIMPLE = {"image": "big", "gpu": True, "libs": ["a", "b"], "none": []}


@pytest.mark.parametrize(
    ("option", "options"),
    [
        ("passthrough", FORM),
        ("simple", SIMPLE),
        (lambda form: {"fields": sorted(form)}, {"fields": ["gpu", "image", "libs", "none"]}),
        (lambda form, spawner: {"who": spawner.user.name}, {"who": "ada"}),
        (lambda form, *, spawner=None: {"who": spawner.user.name}, {"who": "ada"}),
        (dict, FORM),
    ],
)
def test_a_form_becomes_options_as_configured(option, options):
    spawner = made(options_from_form=option)
    assert spawner.run_options_from_form(dict(FORM)) == options
    assert spawner.options_from_query(dict(FORM)) == options


async def test_options_may_come_later():
    async def later(form):
        return {"n": len(form)}

    assert await made(options_from_form=later).run_options_from_form(FORM) == {"n": 4}


def test_a_form_has_no_other_words():
    with pytest.raises(traitlets.TraitError, match="passthrough"):
        made(options_from_form="clever")


def test_a_subclass_may_write_form_and_options_as_methods():
    class Chooses(Remote):
        def _options_form_default(self):
            return f"<input name={self.user.name}>"

        def options_from_form(self, formdata):
            return {"argv": formdata["args"]}

        def options_from_query(self, query_data):
            return {"image": query_data["image"][0]}

    spawner = made(Chooses)
    assert spawner.options_form == "<input name=ada>"
    assert spawner.run_options_from_form({"args": ["-x"]}) == {"argv": ["-x"]}
    assert spawner.options_from_query({"image": ["big"]}) == {"image": "big"}


@given(st.dictionaries(st.text(), st.lists(st.text(), max_size=3)))
def test_simple_forms_keep_every_field_and_lists_of_several(form):
    found = simple(form)
    assert found.keys() == form.keys()
    assert all(found[name] == values for name, values in form.items() if len(values) != 1)
    assert all(found[name] in (values[0], True) for name, values in form.items() if len(values) == 1)


@pytest.mark.parametrize(
    ("function", "answer"), [(lambda form: 0, False), (lambda form, spawner: 0, True), (dict, False), (None, False)]
)
def test_who_wants_the_spawner_is_given_it(function, answer):
    assert takes_spawner(function) is answer


# Options to the spawner -------------------------------------------------------------------


def _pick(spawner, options):
    spawner.image = options["image"]


async def _pick_later(spawner, options):
    await asyncio.sleep(0)
    spawner.image = options["image"]


@pytest.mark.parametrize("option", [_pick, _pick_later, {"image": "image"}])
async def test_options_are_applied_as_configured(option):
    spawner = made(apply_user_options=option)
    await spawner.run_apply_user_options({"image": "big"})
    assert spawner.image == "big"


async def test_texts_of_a_form_become_what_the_attribute_is():
    spawner = made(apply_user_options={"n": "workers", "mem": "mem_limit", "cpus": "cpu_limit", "debug": "debug"})
    await spawner.run_apply_user_options({"n": "3", "mem": "2G", "cpus": "1.5", "debug": "true"})
    assert (spawner.workers, spawner.mem_limit, spawner.cpu_limit, spawner.debug) == (3, 2 << 30, 1.5, True)


@pytest.mark.parametrize(
    ("option", "options", "words"),
    [
        ({"n": "workers"}, {"n": "many"}, "workers"),
        ({"n": "workers"}, {"n": ["3"]}, "workers"),
        (_pick, {}, "Invalid user options: KeyError: 'image'"),
        (_pick, {"image": 5}, "image"),
    ],
)
async def test_options_that_cannot_be_applied_are_the_persons_fault(option, options, words):
    with pytest.raises(SpawnException) as caught:
        await made(apply_user_options=option).run_apply_user_options(options)
    assert caught.value.status_code == 400
    assert caught.value.message.startswith("Invalid user options: ")
    assert words in caught.value.message


async def test_a_refusal_with_a_status_of_its_own_stays_as_it_is():
    class Full(Exception):
        status_code = 503

    def refuse(spawner, options):
        raise Full("no")

    with pytest.raises(Full):
        await made(apply_user_options=refuse).run_apply_user_options({})


@pytest.mark.parametrize(
    ("option", "warned"),
    [
        (None, "nothing looks at these user options of ada:lab: a, b"),
        ({"a": "image"}, "nothing looks at these user options of ada:lab: b"),
        ({"a": "image", "b": "no_such"}, "apply_user_options: Remote has no attribute 'no_such'"),
    ],
)
async def test_options_that_nobody_handles_are_named_but_change_nothing(option, warned, caplog):
    spawner = made(apply_user_options=option)
    with caplog.at_level(logging.WARNING, "hubbub.spawner"):
        await spawner.run_apply_user_options({"a": "x", "b": "secret"})
    assert [record.getMessage() for record in caplog.records] == [warned]
    assert not hasattr(spawner, "b") and not hasattr(spawner, "no_such")


async def test_no_options_are_nothing_to_warn_of(caplog):
    await made().run_apply_user_options({})
    assert not caplog.records


# Groups -----------------------------------------------------------------------------------

OVERRIDES: dict[str, Any] = {
    "20-pupils": {"groups": ["pupils"], "spawner_override": {"mem_limit": "2G", "environment": {"WHO": "pupil"}}},
    "10-staff": {
        "groups": ["staff", "deans"],
        "spawner_override": {
            "mem_limit": "1G",
            "environment": {"WHO": "staff", "STAFF": "yes", "OLD": None},
            "image": lambda it: f"for-{it.user.name}",
        },
    },
}


@pytest.mark.parametrize("wrapped", [lambda it: it, lambda it: lambda spawner: it])
@pytest.mark.parametrize(
    ("groups", "memory", "environment", "image"),
    [
        ((), 1, {"OLD": "1", "WHO": "-"}, "small"),
        ((STAFF,), 1 << 30, {"WHO": "staff", "STAFF": "yes"}, "for-ada"),
        ((PUPILS,), 2 << 30, {"OLD": "1", "WHO": "pupil"}, "small"),
        ((PUPILS, STAFF), 2 << 30, {"WHO": "pupil", "STAFF": "yes"}, "for-ada"),
    ],
)
async def test_groups_override_in_the_order_of_the_keys(wrapped, groups, memory, environment, image):
    given = {"OLD": "1", "WHO": "-"}
    spawner = made(groups=groups, mem_limit=1, environment=given, group_overrides=wrapped(OVERRIDES))
    await spawner.apply_group_overrides()
    assert (spawner.mem_limit, spawner.environment, spawner.image) == (memory, environment, image)
    assert given == {"OLD": "1", "WHO": "-"}


async def test_overrides_may_come_later():
    async def later(spawner):
        return {"1": {"groups": [group.name for group in spawner.user.groups], "spawner_override": {"debug": True}}}

    spawner = made(groups=(STAFF,), group_overrides=later)
    await spawner.apply_group_overrides()
    assert spawner.debug


@pytest.mark.parametrize("override", [{}, {"groups": ["staff"]}, {"groups": "staff", "spawner_override": {}}, None])
async def test_what_is_no_override_is_named(override):
    with pytest.raises(ValueError, match=r"group_overrides\['x'\]"):
        await made(groups=(STAFF,), group_overrides={"x": override}).apply_group_overrides()


TREES = st.recursive(
    st.integers(), lambda below: st.dictionaries(st.sampled_from("abc"), below | st.none(), max_size=3), max_leaves=8
)


@given(st.dictionaries(st.sampled_from("abc"), TREES, max_size=3), st.dictionaries(st.sampled_from("abc"), TREES))
def test_merging_twice_is_merging_once_and_changes_neither(old, new):
    before = (repr(old), repr(new))
    once = merged(old, new)
    assert merged(once, new) == once
    assert (repr(old), repr(new)) == before
    assert once.keys() == old.keys() | new.keys()


def test_none_takes_a_key_away_at_any_depth():
    assert merged({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": None}, "d": None, "e": {"f": None}}) == {
        "a": {"c": 2},
        "e": {},
    }


# Hooks ------------------------------------------------------------------------------------


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("name", ["pre_spawn_hook", "post_stop_hook"])
async def test_hooks_get_the_spawner(name, later):
    seen = []

    def hook(spawner):
        seen.append(spawner)

    async def hook_later(spawner):
        seen.append(spawner)

    spawner = made(**{name: hook_later if later else hook})
    result = getattr(spawner, f"run_{name}")()
    if inspect.isawaitable(result):
        await result
    assert seen == [spawner]


@pytest.mark.parametrize("name", ["pre_spawn_hook", "post_stop_hook", "auth_state_hook", "progress_ready_hook"])
async def test_no_hook_is_nothing_to_do(name):
    spawner = made()
    arguments = {"auth_state_hook": ({},), "progress_ready_hook": ({"ready": True},)}.get(name, ())
    result = getattr(spawner, f"run_{name}")(*arguments)
    result = await result if inspect.isawaitable(result) else result
    assert result == ({"ready": True} if name == "progress_ready_hook" else None)


@pytest.mark.parametrize("later", [False, True])
async def test_a_hook_before_the_start_can_forbid_it(later):
    def refuse(spawner):
        raise SpawnException("No.", reason="policy")

    async def refuse_later(spawner):
        refuse(spawner)

    spawner = made(pre_spawn_hook=refuse_later if later else refuse)

    async def run():
        await settled(spawner.run_pre_spawn_hook())

    with pytest.raises(SpawnException):
        await run()


@pytest.mark.parametrize("later", [False, True])
async def test_a_hook_after_the_stop_can_only_complain(later, caplog):
    def fail(spawner):
        raise RuntimeError("no")

    async def fail_later(spawner):
        fail(spawner)

    result = made(post_stop_hook=fail_later if later else fail).run_post_stop_hook()
    if later:
        await result
    assert ["post_stop_hook failed for ada:lab"] == [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize("later", [False, True])
async def test_the_auth_state_is_handed_to_its_hook(later):
    def hook(spawner, auth_state):
        spawner.environment["TOKEN"] = auth_state["token"]

    async def hook_later(spawner, auth_state):
        hook(spawner, auth_state)

    spawner = made(auth_state_hook=hook_later if later else hook)
    await spawner.run_auth_state_hook(await spawner.user.get_auth_state())
    assert spawner.get_env()["TOKEN"] == "t"


async def test_the_last_event_of_the_progress_can_be_changed(caplog):
    async def hook(spawner, event):
        return {**event, "html_message": f"<b>{spawner.name}</b>"}

    def fail(spawner, event):
        event["html_message"] = "half done"
        raise RuntimeError("no")

    event = {"ready": True}
    assert await made(progress_ready_hook=hook).run_progress_ready_hook(event) == {
        "ready": True,
        "html_message": "<b>lab</b>",
    }
    assert await made(progress_ready_hook=fail).run_progress_ready_hook(event) == {"ready": True}
    assert "progress_ready_hook failed for ada:lab" in caplog.text


# What they see ----------------------------------------------------------------------------


async def test_hooks_see_whose_server_it_is():
    user = made(groups=(STAFF,)).user
    assert (user.name, user.id, user.admin, user.escaped_name, user.host) == ("ada", 7, False, "ada", "")
    assert (user.url, user.base_url) == ("/base/user/ada/", "/base/user/ada/")
    assert [user.server_url(), user.server_url("lab")] == ["/base/user/ada/", "/base/user/ada/lab/"]
    assert [(group.name, group.properties) for group in user.groups] == [("staff", {"room": 5})]
    await user.save_auth_state({"token": "new"})
    assert await user.get_auth_state() == {"token": "new"}


async def test_without_a_keeper_there_is_no_auth_state():
    user = User(name="ada", id=7, url="/user/ada/", escaped_name="ada")
    await user.save_auth_state({"token": "new"})
    assert await user.get_auth_state() is None


def test_hooks_see_the_hub():
    hub = made().hub
    assert (hub.url, hub.ip, hub.port) == ("http://10.0.0.1:8081/base/hub/", "10.0.0.1", 8081)
    assert Hub(api_url="https://h/hub/api", base_url="/hub/").port == 443


def test_hooks_see_what_is_kept():
    class Stateful(Remote):
        def get_state(self):
            return {**super().get_state(), "id": 3}

    spawner = made(Stateful)
    spawner.user_options = {"a": 1}
    stored = spawner.orm_spawner
    assert (stored.name, stored.state, stored.user_options) == ("lab", {"id": 3}, {"a": 1})
    assert stored.server is spawner.server
    with pytest.raises(AttributeError):
        stored.state = {}


async def test_a_server_is_where_its_spawner_says():
    spawner = made()
    assert spawner.server.base_url == "/base/user/ada/lab/"
    spawner.server.ip, spawner.server.port = "10.0.0.2", 99
    assert await spawner.get_url() == "http://10.0.0.2:99/base/user/ada/lab/"
    spawner.server.move("https://host")
    assert spawner.server.url == "https://host:443/base/user/ada/lab/"


@pytest.mark.parametrize(
    ("ip", "host"), [("", "http://127.0.0.1:8"), ("0.0.0.0", "http://127.0.0.1:8"), ("fe80::1", "http://[fe80::1]:8")]
)
def test_an_address_can_be_connected_to(ip, host):
    assert Server(base_url="/", ip=ip, port=8).host == host


def test_a_server_is_named_in_logs_by_its_owner():
    spawner = made()
    assert spawner._log_name == spawner.log_name == "ada:lab"
    spawner.name = ""
    assert spawner.log_name == "ada"


# State, and the rest of the life ------------------------------------------------------------


async def test_what_a_subclass_keeps_goes_there_and_back():
    class Stateful(Remote):
        container = ""

        def get_state(self):
            return {**super().get_state(), "container": self.container}

        def load_state(self, state):
            super().load_state(state)
            self.container = state.get("container", "")

        def clear_state(self):
            super().clear_state()
            self.container = ""

    one, other = made(Stateful), made(Stateful)
    one.container = "c1"
    other.load_state(one.get_state())
    assert other.container == "c1"
    other.api_token = "t"
    other.clear_state()
    assert (other.container, other.api_token) == ("", "")


async def test_what_is_not_written_is_named():
    for method in ("start", "stop", "poll"):
        with pytest.raises(NotImplementedError, match=rf"Spawner\.{method}"):
            await getattr(Spawner(), method)()


async def test_deleting_a_server_is_nothing_by_default():
    assert await made().delete_forever() is None
    assert [frame async for frame in made().progress()] == [{"progress": 50, "message": "Spawning server..."}]


async def test_a_server_that_nobody_is_to_ask_about_is_not_asked_about():
    class Curious(Remote):
        async def poll(self):
            raise AssertionError("asked")

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await made(Curious, poll_interval=0).ended()


async def test_questions_are_asked_at_uneven_times(monkeypatch):
    pauses = []

    class Ends(Remote):
        left = 40

        async def poll(self):
            self.left -= 1
            return None if self.left else 5

    async def note(seconds):
        pauses.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", note)
    assert await made(Ends, poll_interval=10, poll_jitter=0.5).ended() == 5
    assert all(7.5 <= pause <= 12.5 for pause in pauses) and len(set(pauses)) > 30
    pauses.clear()
    assert await made(Ends, poll_interval=10, poll_jitter=0).ended() == 5
    assert set(pauses) == {10}


async def test_a_poll_that_fails_proves_nothing(caplog):
    class Fails(Remote):
        left = 3

        async def poll(self):
            self.left -= 1
            if self.left:
                raise RuntimeError("no")
            return 5

    assert await made(Fails, poll_interval=0.05).ended() == 5
    assert len(caplog.records) == 2


# Internal TLS ---------------------------------------------------------------------------------


class Issuer:
    async def issue(self, common_name, alt_names):
        return {"keyfile": common_name, "certfile": " ".join(alt_names), "cafile": "ca"}


async def _names_later(spawner):
    return ["DNS:later"]


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, "DNS:localhost IP:127.0.0.1 DNS:trusted"),
        ({"ssl_alt_names": ["DNS:x"]}, "DNS:localhost IP:127.0.0.1 DNS:x"),
        ({"ssl_alt_names": lambda it: [f"DNS:{it.user.name}"], "ssl_alt_names_include_local": False}, "DNS:ada"),
        ({"ssl_alt_names": _names_later, "ssl_alt_names_include_local": False}, "DNS:later"),
        ({"ssl_alt_names": [], "ssl_alt_names_include_local": False}, ""),
    ],
)
async def test_certificates_are_issued_for_the_names_of_the_server(options, names):
    spawner = made(**options)
    spawner.certificates = Issuer()
    spawner.trusted_alt_names = ["DNS:trusted"]
    paths = await spawner.create_certs()
    assert paths == {"keyfile": "user-ada", "certfile": names, "cafile": "ca"}
    assert await spawner.move_certs(paths) == paths


async def test_without_internal_tls_there_are_no_certificates():
    spawner = made()
    assert await spawner.create_certs() == {}
    spawner.internal_ssl = True
    with pytest.raises(RuntimeError, match="internal_ssl"):
        await spawner.create_certs()


# Refusals -------------------------------------------------------------------------------------


def test_a_refusal_has_jupyterhubs_attributes():
    from jupyterhub.spawner import SpawnException as Theirs

    for kind in (SpawnException, Theirs):
        short = kind("Full.", reason="capacity")
        assert (short.status_code, short.message, short.reason, short.message_html) == (400, "Full.", "capacity", "")
        assert short.log_message == short.get_message() == "Full."
        long = kind("Full.", reason="capacity", message_html="<b>Full.</b>", status_code=503)
        assert (long.status_code, long.message_html) == (503, "<b>Full.</b>")
        assert str(long) == "503 SpawnException(reason=capacity): Full."


def test_what_is_for_the_log_alone_is_not_for_people():
    refusal = SpawnException("Full.", reason="capacity", log_message="node 7 is full")
    assert (refusal.message, refusal.get_message()) == ("Full.", "node 7 is full")
    assert str(refusal) == "400 SpawnException(reason=capacity): node 7 is full"
