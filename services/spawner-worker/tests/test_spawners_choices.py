"""What a person chooses in a form, and a group overrides."""

import asyncio
import logging
from typing import Any

import pytest
import traitlets
from hypothesis import given
from hypothesis import strategies as st

from hubbub_spawner_worker.spawners import Group, SpawnException
from hubbub_spawner_worker.spawners.options import merged, simple, takes_spawner
from hubbub_spawner_worker.spawners.testing import Bare, made

STAFF = Group(name="staff", properties={"room": 5})
PUPILS = Group(name="pupils")


# Forms ------------------------------------------------------------------------------------


async def _async_form(spawner):
    return f"<b>{spawner.user.name}</b>"


@pytest.mark.parametrize(
    ("option", "html"),
    [
        ("", ""),
        ("<b>", "<b>"),
        (lambda it: f"<b>{it.user.name}</b>", "<b>ada</b>"),
        (_async_form, "<b>ada</b>"),
        (lambda it: None, ""),
    ],
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
    class Chooses(Bare):
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
        ({"a": "image", "b": "no_such"}, "apply_user_options: Bare has no attribute 'no_such'"),
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
