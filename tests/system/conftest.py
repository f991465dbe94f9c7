"""The system tests use the integration tests' hub, and rigs: the real backends of other people's spawners."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "integration"))

from rigs.docker import DockerRig, docker_rig
from rigs.ground import Ground, ground
from rigs.kube import KubeRig, kube_rig
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
