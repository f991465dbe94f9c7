"""The system tests use the integration tests' hub, and rigs: the backends of others' spawners and authenticators."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "integration"))

from rigs.docker import DockerRig, docker_rig
from rigs.ground import Ground, ground
from rigs.kube import KubeRig, kube_rig
from rigs.ldap import LdapRig, ldap_rig
from rigs.people import Visitor, visitor
from rigs.slurm import SlurmRig, slurm_rig
from rigs.systemd import SystemdRig, systemd_rig


@pytest.fixture(scope="session")
def open_ground() -> Iterator[Ground]:
    """What the rigs stand on. They start daemons, make users and mount things."""
    assert os.geteuid() == 0, "the tests of other people's spawners have to run as root"
    with ground() as made:
        yield made


@pytest.fixture(scope="session")
def guest(open_ground: Ground) -> Iterator[Visitor]:
    """A real UNIX user, who may run Python and the stand-in."""
    with visitor(open_ground) as made:
        yield made


@pytest.fixture(scope="session")
def docker(open_ground: Ground) -> Iterator[DockerRig]:
    with docker_rig(open_ground) as made:
        yield made


@pytest.fixture(scope="session")
def slurm(open_ground: Ground, guest: Visitor) -> Iterator[SlurmRig]:
    with slurm_rig(open_ground) as made:
        yield made


@pytest.fixture(scope="session")
def systemd(open_ground: Ground) -> Iterator[SystemdRig]:
    with systemd_rig(open_ground) as made:
        yield made


@pytest.fixture(scope="session")
def kube(open_ground: Ground) -> Iterator[KubeRig]:
    with kube_rig(open_ground) as made:
        yield made


@pytest.fixture(scope="session")
def ldap(open_ground: Ground) -> Iterator[LdapRig]:
    with ldap_rig(open_ground) as made:
        yield made


#: Those that make users of the host and run daemons of which a machine has one: they have to go one after another.
_ALONE = (
    "test_authenticators_ldap",
    "test_authenticators_pam",
    "test_login_ldap",
    "test_login_pam",
    "test_spawners_batch",
    "test_spawners_docker",
    "test_spawners_storage",
    "test_spawners_sudo",
)


class _ByFile(LoadScopeScheduling):
    """Side by side each file has a process to itself, which its hub and its browser are in."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "host" if Path(file).stem in _ALONE else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _ByFile | None:
    return _ByFile(config, log) if config.getvalue("dist") == "loadfile" else None
