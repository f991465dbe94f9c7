"""The whole hub in containers, by the files that a user has, with the interface of `stack.Hub`."""

import asyncio
import atexit
import os
import subprocess
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import additions
import aiohttp
import psutil
from docker.errors import APIError, NotFound
from docker.models.containers import Container
from engine import HERE, PROJECT, Engine, engine
from rigs.ground import ground

from hubbub.free_port import free_port
from stack import Hub, eventually

#: Seconds for whatever Compose is asked to do.
PATIENCE = 240
#: Seconds for the services to be ready, once all of them have been started.
READY = 60
SERVICES = ("api", "auth", "spawner-worker", "proxy-sync", "poller")
#: What an image of ours runs.
HUBBUB = ("/opt/hubbub/bin/python", "/opt/hubbub/start.py")


class Workload:
    """A user's server."""

    def __init__(self, container: Container) -> None:
        self.container = container

    @property
    def pid(self) -> int:
        """Of its first process, as this machine has it."""
        return int(self.container.attrs["State"]["Pid"])

    def environ(self) -> dict[str, str]:
        return dict(line.split("=", 1) for line in self.container.attrs["Config"]["Env"])


class ComposeHub(Hub):
    """`data` has its secrets and configuration; *files*: of those in deploy/."""

    def __init__(
        self, engine: Engine, data: Path, config: Path, scale: str, environ: Mapping[str, str], *files: str
    ) -> None:
        super().__init__(data, ["--scale", scale] if scale else [], dict(environ))
        self.engine = engine
        self.files = files or ("compose.yaml",)
        self.config = config
        self.kit: tuple[str, ...] = ()
        """More words for `hubbub kit`."""
        self._following: subprocess.Popen[str] | None = None
        self._office: Container | None = None
        self._pids: dict[str, int] = {}
        self.project = f"hub{os.getpid()}x{free_port()}"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}{environ.get('BASE_URL', '/')}"

    @property
    def store(self) -> Path:
        return self.data / "secrets"

    @property
    def beside(self) -> Path:
        """What the operator has written."""
        return self.data.with_name(f"{self.data.name}-of-compose")

    # Its life ---------------------------------------------------------------------------

    async def start(self, seconds: float = PATIENCE) -> None:
        if not self.store.exists():
            additions.write(self)
            await self.compose("run", "--rm", "hubbub", "kit", "--mode", "0444", *self._kit())
        await self.up()
        if self._session is None:
            everybody = aiohttp.TCPConnector(limit=0, keepalive_timeout=3)  # the proxy closes idle ones after 5 s
            self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), connector=everybody)
        await eventually(self._is_up, READY, "every service ready")
        self.lines = [f"log in with the password {(self.store / 'login-password').read_text().strip()}"]

    def _follow_logs(self) -> None:
        """Into the folder in which `hubbub up` has them, a file for each container."""
        self._following = subprocess.Popen(
            self._command("logs", "--follow", "--no-color"),
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        Thread(target=additions.sort_logs, args=(self._following.stdout, self.data / "log"), daemon=True).start()

    async def up(self) -> None:
        scale = [part for part in self._scale().split(",") if part]
        scale = [part.replace("@", "-") for part in scale]
        await self.compose("up", "-d", "--no-build", *(word for part in scale for word in ("--scale", part)))
        if self._following is None or self._following.poll() is not None:
            self._follow_logs()

    async def _is_up(self) -> bool:
        """As each says of itself, in the file that shows that its loop goes round."""
        await asyncio.sleep(0.2)
        containers = [each for service in self.kinds() for each in self.containers(service)]
        ready = await asyncio.to_thread(lambda: all(map(_is_ready, containers)))
        return ready and await self.answers()

    async def stop(self, number: object = None, seconds: float = PATIENCE) -> int:
        """What Compose has started, and no user's server."""
        await self.compose("stop")
        return 0

    async def answers(self) -> bool:
        try:
            async with self.session.get(f"{self.url}hub/health", timeout=aiohttp.ClientTimeout(5)) as response:
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
        await asyncio.to_thread(self._remove)

    def _remove(self) -> None:
        if self._following is not None:
            self._following.terminate()
            self._following.wait()
        self._run("stop", "--timeout", "2")  # or the workers would start more
        network = {"network": self.users_network}
        for left in self.engine.docker.containers.list(all=True, filters=network, ignore_removed=True):
            left.remove(force=True)
        self._run("down", "--volumes", "--remove-orphans", "--timeout", "2")

    # Compose ----------------------------------------------------------------------------

    async def compose(self, *words: str) -> str:
        return await asyncio.to_thread(self._run, *words)

    def _run(self, *words: str) -> str:
        """What it prints. Raises AssertionError with what it complains of."""
        done = subprocess.run(
            self._command(*words),
            capture_output=True,
            text=True,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, (words, done.stdout[-3000:], done.stderr[-3000:], self.logs())
        return done.stdout

    def _command(self, *words: str) -> list[str]:
        files = [*(PROJECT / "deploy" / name for name in self.files), self.beside / additions.FILE]
        return [*_program(), *(word for file in files for word in ("-f", str(file))), *words]

    def _environment(self) -> dict[str, str]:
        return {**os.environ, **self.engine.environ, **self._variables()}

    def _variables(self) -> dict[str, str]:
        return {
            "COMPOSE_PROJECT_NAME": self.project,
            "USERS_NETWORK": self.users_network,
            "SECRETS": str(self.data / "secrets"),
            "CONFIG": str(self.beside / "config"),
            "PORT": str(self.port),
            "LEASE_SECONDS": self.environ.get("HUBBUB_LEASE_SECONDS", "2"),
            **{name: value for name, value in self.environ.items() if name in ("BASE_URL", "PUBLIC_URL")},
        }

    def _scale(self) -> str:
        return self.arguments[1] if self.arguments else ""

    def pools(self) -> list[str]:
        """Those that have workers, besides the first."""
        return [name.partition("@")[2] for part in self._scale().split(",") if "@" in (name := part.partition("=")[0])]

    def fixed(self) -> list[str]:
        """The services that a configuration reaches."""
        return [*SERVICES, "migrate", "hubbub"]

    def kinds(self) -> list[str]:
        """What Compose calls the services."""
        return [*SERVICES, *(f"spawner-worker-{pool}" for pool in self.pools())]

    def _kit(self) -> tuple[str, ...]:
        return (*self.kit, *(("--pools", ",".join(("default", *pools))) if (pools := self.pools()) else ()))

    # Its parts --------------------------------------------------------------------------

    @property
    def users_network(self) -> str:
        return f"{self.project}-users"

    @property
    def inside(self) -> Any:
        return self.engine.docker.networks.get(f"{self.project}_inside")

    def containers(self, service: str) -> list[Container]:
        """Those that run, by their numbers."""
        labels = [f"com.docker.compose.project={self.project}", f"com.docker.compose.service={service}"]
        found = self.engine.docker.containers.list(filters={"label": labels}, ignore_removed=True)
        return sorted(found, key=lambda container: int(container.labels["com.docker.compose.container-number"]))

    def container(self, name: str) -> Container:
        """By the name that it has in the house (`api-2`), or that Compose has for it (`nats`)."""
        found = self.containers(name)
        if not found:
            kind = next(kind for kind in sorted(self.kinds(), key=len, reverse=True) if name.startswith(f"{kind}-"))
            found = [each for each in self.containers(kind) if name_in_the_house(each) == name]
        assert found, f"{name} does not run:\n{self.logs()}"
        return found[0]

    def pid(self, name: str) -> int:
        """Of what it runs: its first process does no more than start that."""
        return _main(self.container(name)).pid

    def kill(self, name: str) -> None:
        """So that the engine takes it for a crash, and starts it again as Compose has told it to."""
        _main(self.container(name)).kill()

    def put_down(self, name: str) -> None:
        """Killed, and not started again."""
        self._down = self.container(name)
        self._down.kill()

    def pick_up(self) -> None:
        self._down.start()

    def proxy(self) -> psutil.Process:
        return _main(self.container("proxy"))

    def address(self, name: str, network: str = "") -> str:
        """The IP address of a container, in the network of the services if no other is named."""
        found = self.container(name)
        found.reload()
        return str(found.attrs["NetworkSettings"]["Networks"][network or f"{self.project}_inside"]["IPAddress"])

    def services(self) -> dict[str, int]:
        found = [_main(container) for service in self.kinds() for container in self.containers(service)]
        return {each.environ()["HUBBUB_INSTANCE"]: each.pid for each in found}

    def addresses(self) -> list[str]:
        return [self.url]

    def proxies(self) -> list[Any]:
        raise AssertionError("the proxy is in a container")

    def proxy_apis(self) -> list[tuple[str, str]]:
        token = (self.data / "secrets/proxy-token").read_text().strip()
        return [(f"http://{self.address('proxy')}:8001", token)]

    def everybody(self) -> list[psutil.Process]:
        kinds = [*self.kinds(), "proxy", "nats", "postgres"]
        firsts = [int(each.attrs["State"]["Pid"]) for kind in kinds for each in self.containers(kind)]
        firsts += [server.pid for server in self.workloads()]
        return [each for first in firsts for each in (psutil.Process(first), *psutil.Process(first).children(True))]

    def workloads(self) -> list[Any]:
        found = self.engine.docker.containers.list(filters={"network": self.users_network}, ignore_removed=True)
        servers = [Workload(container) for container in found if "com.docker.compose.project" not in container.labels]
        return [server for server in servers if "JUPYTERHUB_SERVICE_PREFIX" in server.environ()]

    def running(self) -> dict[str, Any]:
        """By addresses: names are known in the containers alone."""
        url = urlsplit((self.data / "secrets/postgres-url-owner").read_text().strip())
        netloc = f"{url.netloc.rpartition('@')[0]}@{self.address('postgres')}:5432"
        hub_url = f"http://{self.address('api')}:8081/hub/"
        nats_url = f"nats://somebody@{self.address('nats')}:4222"
        return {"owner_dsn": url._replace(netloc=netloc).geturl(), "hub_url": hub_url, "nats_url": nats_url}

    def logs(self) -> str:
        labels = {"label": f"com.docker.compose.project={self.project}"}
        found = self.engine.docker.containers.list(all=True, filters=labels, ignore_removed=True)
        return "\n".join(f"--- {one.name}\n{one.logs(tail=25).decode(errors='replace')}" for one in found)

    async def command(self, *arguments: str, seconds: float = 60) -> tuple[int, str]:
        status, out, err = await asyncio.to_thread(self.say, *arguments)
        return status, out + err

    def say(self, *arguments: str, **environ: str) -> tuple[int, str, str]:
        """`hubbub ...` in a container of its service, which stays for the next; its status and what it printed."""
        if self._office is None:
            name = self._run("run", "-d", "--entrypoint", "sleep", "hubbub", "infinity").split()[-1]
            self._office = self.engine.docker.containers.get(name)
        status, (out, err) = self._office.exec_run([*HUBBUB, *arguments], demux=True, environment=environ)
        return int(status), (out or b"").decode(), (err or b"").decode()

    async def standin(self, name: str, server: str = "") -> dict[str, Any] | None:
        """Its process is that of this machine."""
        found = await super().standin(name, server)
        if found is not None and "host" in found:
            found["pid"] = await asyncio.to_thread(self._pid_of, found["host"])
        return found

    def _pid_of(self, host: str) -> int:
        if host not in self._pids:
            self._pids[host] = Workload(self.engine.docker.containers.get(host)).pid
        return self._pids[host]

    # Faults -----------------------------------------------------------------------------

    def cut(self, name: str) -> str:
        """From everybody; what is returned mends it."""
        found = self.container(name)
        for network in self._networks(found):
            network.disconnect(found)
        return str(found.id)

    def mend(self, id: str, *aliases: str) -> None:
        """As it was, but for its addresses."""
        found = self.engine.docker.containers.get(id)
        for network in self._networks(found, of=found.labels["com.docker.compose.service"]):
            network.connect(found, aliases=list(aliases))

    def _networks(self, container: Container, of: str = "") -> list[Any]:
        """Those that it is in, or *of* which service all others are."""
        known = self.engine.docker.networks
        if of in ("api", "spawner-worker"):
            return [self.inside, known.get(self.users_network)]
        if of:
            return [self.inside]
        container.reload()
        return [known.get(name) for name in container.attrs["NetworkSettings"]["Networks"]]


def made(data: Path, config: Path | None, scale: str, environ: Mapping[str, str]) -> ComposeHub:
    """For `stack.hub`, on the engine that all of them share."""
    data.mkdir(parents=True, exist_ok=True)
    return ComposeHub(shared_engine(), data, config or HERE / "config_lab.py", scale, environ)


@cache
def shared_engine() -> Engine:
    """Until this process ends."""
    stack = ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(engine(stack.enter_context(ground())))


def _program() -> list[str]:
    """The newer one if it is there."""
    newer = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    return ["docker", "compose"] if newer.returncode == 0 else ["docker-compose"]


def _main(container: Container) -> psutil.Process:
    """What the container is for."""
    container.reload()
    first = psutil.Process(int(container.attrs["State"]["Pid"]))
    return first.children()[0] if "docker-init" in first.name() or "tini" in first.name() else first


def name_in_the_house(container: Container) -> str:
    with suppress(psutil.Error, IndexError, NotFound):
        return _main(container).environ().get("HUBBUB_INSTANCE", "")
    return ""


def _is_ready(container: Container) -> bool:
    """By a file that a service touches when it is."""
    with suppress(psutil.Error, IndexError, NotFound, APIError):
        return Path(f"/proc/{_main(container).pid}/root/tmp/pulse").exists()
    return False
