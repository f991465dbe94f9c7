"""A Docker daemon of its own: private folders and bridge, the firewall untouched, images without a registry."""

import io
import os
import sys
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import docker as client
from docker.models.containers import Container

from rigs.ground import Ground, daemon, run, until
from rigs.people import STANDIN

PREFIX = "hubrig"
IMAGES = ("hubbub/standin:small", "hubbub/standin:large")


@dataclass(frozen=True)
class DockerRig:
    address: str
    docker: client.DockerClient

    @property
    def environ(self) -> dict[str, str]:
        return {"DOCKER_HOST": self.address}

    @property
    def config(self) -> str:
        """For every spawner of the family. The image is empty: the host's programs can be seen in it."""
        seen = {path: path for path in ("/usr", sys.base_prefix, str(STANDIN.parent))}
        return f"""
c.DockerSpawner.image = {IMAGES[0]!r}
c.DockerSpawner.pull_policy = "never"
c.DockerSpawner.read_only_volumes = {seen!r}
c.Spawner.cmd = [{os.path.realpath(sys.executable)!r}, {str(STANDIN)!r}]
"""

    def containers(self) -> list[Container]:
        """All, also those that have ended."""
        found: list[Container] = self.docker.containers.list(all=True, ignore_removed=True)
        return found

    def live(self) -> list[str]:
        return [str(one.name) for one in self.docker.containers.list(ignore_removed=True)]

    def kill(self, name: str) -> None:
        self.docker.containers.get(name).kill()

    def clear(self) -> None:
        for container in self.containers():
            container.remove(force=True)


@contextmanager
def docker_rig(ground: Ground) -> Iterator[DockerRig]:
    room = ground.room("docker")
    address = f"unix://{room}/d.sock"
    bridge = f"{PREFIX}{os.getpid()}"
    command = ["dockerd", "--data-root", room / "data", "--exec-root", room / "exec", "--pidfile", room / "d.pid"]
    command += ["--host", address, "--bridge", bridge, "--iptables=false", "--ip6tables=false", "--ip-forward=false"]
    with ExitStack() as stack:
        stack.enter_context(_bridge(bridge))
        runs = stack.enter_context(daemon(room, *command))
        until((room / "d.sock").exists, 30, f"dockerd: see {room}/dockerd.log", runs)
        rig = DockerRig(address, stack.enter_context(_client(address)))
        until(rig.docker.ping, 10, "an answer of dockerd", runs)
        for image in IMAGES:
            name, _, tag = image.partition(":")
            rig.docker.api.import_image_from_data(_empty(), repository=name, tag=tag)
        stack.callback(rig.clear)  # before the daemon ends: it would wait for each
        yield rig


@contextmanager
def _client(address: str) -> Iterator[client.DockerClient]:
    made = client.DockerClient(base_url=address)
    try:
        yield made
    finally:
        made.close()


@contextmanager
def _bridge(name: str) -> Iterator[None]:
    for left in Path("/sys/class/net").glob(f"{PREFIX}*"):  # of runs that were killed
        if not Path("/proc", left.name.removeprefix(PREFIX)).exists():
            run("ip", "link", "delete", left.name)
    run("ip", "link", "add", "name", name, "type", "bridge")
    try:
        run("ip", "address", "add", f"10.213.{os.getpid() % 256}.1/24", "dev", name)
        run("ip", "link", "set", name, "up")
        yield
    finally:
        run("ip", "link", "delete", name)


def _empty() -> bytes:
    """An image with nothing but the way to the host's libraries."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        for name in ("bin", "lib", "lib64", "sbin"):
            if Path("/", name).is_symlink():
                link = tarfile.TarInfo(name)
                link.type, link.linkname = tarfile.SYMTYPE, f"usr/{name}"
                archive.addfile(link)
        for name in ("tmp", "usr"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o777
            archive.addfile(folder)
    return written.getvalue()
