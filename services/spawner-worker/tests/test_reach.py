"""Who can go on with a server: what the class says, and what the configuration may say instead."""

import pytest
from cryptography.fernet import Fernet
from jupyterhub.spawner import SimpleLocalProcessSpawner
from traitlets.config import Config

from hubbub.config import ConfigError, Options
from hubbub.settings import Settings
from hubbub_spawner_worker.hosting import Hosting
from hubbub_spawner_worker.spawners import Spawner
from hubbub_spawner_worker.workshop import furnish


class Boxes(Spawner):
    """Any worker of the pool can get at them, as with every class that does not say otherwise."""


@pytest.fixture
def reach(tmp_path):
    def of(kind, said=""):
        traits = Config()
        traits.JupyterHub.spawner_class = kind
        if said:
            traits.Hubbub.spawner_reach = said
        settings = Settings(instance="w1", data=str(tmp_path), bus_key=Fernet.generate_key().decode())
        return Hosting(furnish(settings, Options(traits, settings), None), None).reach

    return of


@pytest.mark.parametrize(
    ("kind", "said", "expected"),
    [
        ("simple", "", "process"),
        (Boxes, "", "pool"),
        (Boxes, "host", "host"),
        (SimpleLocalProcessSpawner, "", "host"),
        (SimpleLocalProcessSpawner, "pool", "pool"),
    ],
)
def test_the_configuration_knows_better_than_the_class(reach, kind, said, expected):
    assert reach(kind, said) == expected


def test_but_not_whether_its_servers_are_processes_on_our_spool(reach):
    assert reach("simple", "pool") == "process"
    with pytest.raises(ConfigError, match="spawner_reach"):
        reach(Boxes, "process")
