"""Which class `c.JupyterHub.spawner_class` means, and which options are for it."""

import pytest
from traitlets.config import Config

from hubbub_spawner_worker.spawners import LocalProcessSpawner, SimpleLocalProcessSpawner
from hubbub_spawner_worker.spawners.loading import NoSpawner, its_config, load_class


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("simple", SimpleLocalProcessSpawner),
        ("localprocess", LocalProcessSpawner),
        ("jupyterhub.spawner.SimpleLocalProcessSpawner", SimpleLocalProcessSpawner),
        ("jupyterhub.spawner.LocalProcessSpawner", LocalProcessSpawner),
        ("hubbub_spawner_worker.spawners.LocalProcessSpawner", LocalProcessSpawner),
        (SimpleLocalProcessSpawner, SimpleLocalProcessSpawner),
    ],
)
def test_a_spawner_is_loaded_by_any_of_its_names(name, kind):
    assert load_class(name) is kind


@pytest.mark.parametrize("name", ["nosuch", "", "json.nosuch", "json.JSONEncoder", dict, 7, "a.b"])
def test_what_is_no_spawner_is_named(name):
    with pytest.raises(NoSpawner, match="spawner_class"):
        load_class(name)


def test_options_that_a_spawner_does_not_have_are_left_out():
    config = Config()
    config.Spawner.cmd = "one-word"
    config.Spawner.nosuch = 1
    config.Other.kept = 2
    found = its_config(SimpleLocalProcessSpawner, config)
    assert found.Spawner == {"cmd": ["one-word"]}
    assert found.Other == {"kept": 2}
    assert config.Spawner.nosuch == 1
