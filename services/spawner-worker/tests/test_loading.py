"""Which class `c.JupyterHub.spawner_class` means, and which options are for it."""

import subprocess
import sys
from importlib.metadata import EntryPoint

import jupyterhub.spawner
import pytest
from traitlets.config import Config

from hubbub_spawner_worker.spawners import LocalProcessSpawner, SimpleLocalProcessSpawner, Spawner, loading
from hubbub_spawner_worker.spawners.loading import NoSpawner, check, is_classic, its_config, load_class


class Classic(jupyterhub.spawner.LocalProcessSpawner):
    """As an operator's configuration has it."""


class OfOurs(SimpleLocalProcessSpawner):
    """As another's has it."""


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("simple", SimpleLocalProcessSpawner),
        ("Simple", SimpleLocalProcessSpawner),
        ("localprocess", LocalProcessSpawner),
        ("default", LocalProcessSpawner),
        ("jupyterhub.spawner.SimpleLocalProcessSpawner", SimpleLocalProcessSpawner),
        ("jupyterhub.spawner.LocalProcessSpawner", LocalProcessSpawner),
        ("hubbub_spawner_worker.spawners.LocalProcessSpawner", LocalProcessSpawner),
        (SimpleLocalProcessSpawner, SimpleLocalProcessSpawner),
        (OfOurs, OfOurs),
        (Classic, Classic),
        ("jupyterhub.spawner.Spawner", jupyterhub.spawner.Spawner),
        (jupyterhub.spawner.LocalProcessSpawner, jupyterhub.spawner.LocalProcessSpawner),
        (jupyterhub.spawner.SimpleLocalProcessSpawner, jupyterhub.spawner.SimpleLocalProcessSpawner),
    ],
)
def test_a_spawner_is_loaded_by_any_of_its_names_and_a_class_is_what_it_is(name, kind):
    assert load_class(name) is kind


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("hubbub_spawner_worker.spawners:SimpleLocalProcessSpawner", SimpleLocalProcessSpawner),
        ("jupyterhub.spawner:Spawner", jupyterhub.spawner.Spawner),
        ("jupyterhub.spawner:LocalProcessSpawner", LocalProcessSpawner),
    ],
)
def test_a_package_may_announce_a_name(monkeypatch, value, kind):
    announced = [EntryPoint(name="Fancy", group="jupyterhub.spawners", value=value)]
    monkeypatch.setattr(loading, "entry_points", lambda group: announced if group == "jupyterhub.spawners" else [])
    assert load_class("fancy") is kind


@pytest.mark.parametrize("name", ["nosuch", "", "json.nosuch", "json.JSONEncoder", dict, 7, "a.b", "no_such_module.X"])
def test_what_is_no_spawner_is_named(name):
    with pytest.raises(NoSpawner, match="spawner_class") as caught:
        load_class(name)
    assert (name.__qualname__ if isinstance(name, type) else repr(name)) in str(caught.value)


def test_a_module_that_fails_is_named_with_its_words(tmp_path, monkeypatch):
    (tmp_path / "broken_spawner.py").write_text("raise RuntimeError('the cluster is away')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(NoSpawner, match=r"'broken_spawner\.X': RuntimeError: the cluster is away"):
        load_class("broken_spawner.X")


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        (jupyterhub.spawner.Spawner, True),
        (Classic, True),
        (Spawner, False),
        (OfOurs, False),
        (type("Spawner", (), {}), False),
    ],
)
def test_a_classic_class_is_told_from_ours(kind, answer):
    assert is_classic(kind) is answer


def test_jupyterhub_is_not_imported_for_our_own():
    program = """
import sys
from hubbub_spawner_worker.spawners.loading import is_classic, load_class
for name in ("simple", "default", "jupyterhub.spawner.LocalProcessSpawner"):
    assert not is_classic(load_class(name))
print(sorted({"jupyterhub", "tornado", "sqlalchemy"} & sys.modules.keys()))
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


# Configuration ------------------------------------------------------------------------------


def test_options_that_a_spawner_does_not_have_are_left_out():
    config = Config()
    config.Spawner.cmd = "one-word"
    config.Spawner.nosuch = 1
    config.Other.kept = 2
    found = its_config(SimpleLocalProcessSpawner, config)
    assert found.Spawner == {"cmd": "one-word"}
    assert found.Other == {"kept": 2}
    assert config.Spawner.nosuch == 1
    assert SimpleLocalProcessSpawner(config=found).cmd == ["one-word"]


def test_a_classic_class_gets_the_configuration_as_it_is():
    config = Config()
    config.Spawner.nosuch = 1
    config.Classic.mem_limit = "nonsense"
    assert its_config(Classic, config) == config


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [
        ("Spawner", "mem_limit", "lots"),
        ("Spawner", "cpu_limit", "two"),
        ("Spawner", "poll_jitter", 2),
        ("Spawner", "options_from_form", "clever"),
        ("LocalProcessSpawner", "kill_timeout", "soon"),
        ("SimpleLocalProcessSpawner", "environment", ["A=1"]),
    ],
)
def test_a_value_that_an_option_cannot_have_is_named_at_once(section, name, value):
    config = Config()
    config[section][name] = value
    with pytest.raises(NoSpawner, match=rf"^c\.{section}\.{name}: "):
        check(SimpleLocalProcessSpawner, config)
    check(Classic, config)


def test_what_is_only_added_to_is_kept():
    config = Config()
    config.Spawner.args.append("--x")
    config.Spawner.environment.update({"A": "1"})
    check(SimpleLocalProcessSpawner, config)
    spawner = SimpleLocalProcessSpawner(config=its_config(SimpleLocalProcessSpawner, config))
    assert (spawner.args, spawner.environment) == (["--x"], {"A": "1"})


def test_a_class_that_wants_more_than_nothing_is_not_tried():
    class Wants(SimpleLocalProcessSpawner):
        def __init__(self, **more):
            super().__init__(**more)
            self.label = self.user.name

    config = Config()
    config.Wants.mem_limit = "lots"
    with pytest.raises(AttributeError):
        Wants()
    check(Wants, config)


def test_trying_changes_nothing():
    config = Config()
    config.Spawner.environment = said = {"A": "1"}
    config.Spawner.nosuch = object()
    check(SimpleLocalProcessSpawner, config)
    assert config.Spawner.environment is said == {"A": "1"}
