"""What a test adds to `deploy/compose.yaml`: its configuration, its environment, and folders that it looks into.

All of it is said in one more file for Compose, as a user says such things in `compose.override.yaml`.
"""

import json
import re
import shutil
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import HERE, PROJECT

if TYPE_CHECKING:
    from compose_hub import ComposeHub

FILE = "additions.json"
#: Where both find what tests import, after what the image has.
PACKAGES = "/opt/packages"
#: The name that Compose puts before a line: `api_1  | ` or `api-1  | `.
_LINE = re.compile(r"^(\S+?)[_-]?(\d*)\s+\| (.*)$", re.DOTALL)


def write(hub: "ComposeHub") -> None:
    """Before the hub is started for the first time."""
    for folder in (hub.data.parent, hub.data, *(hub.data / name for name in ("log", "postgres", "nats"))):
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o777)  # a service is somebody else
    _write_config(hub.beside / "config", hub.config)
    (hub.beside / FILE).write_text(json.dumps(_said(hub)))


def _said(hub: "ComposeHub") -> dict[str, Any]:
    """A service has the folder of the test at the same place, and volumes are where `hubbub up` keeps the same."""
    room = str(hub.data.parent)
    environ = {name: value.replace("$", "$$") for name, value in hub.environ.items()}
    packages = sysconfig.get_path("purelib")
    # What is started in users' servers, and finds what the tests have installed.
    mounted = {hub.beside / "config": "/etc/hubbub", Path(packages): PACKAGES}
    mounted |= {Path(sys.prefix, name): f"/opt/{name}" for name in ("share", "etc")}
    folders = {
        "HUBBUB_DATA": str(hub.data),
        "TEST_MOUNTED": json.dumps({str(folder): place for folder, place in mounted.items()}),
    }
    added = {"environment": {**environ, **folders}, "volumes": [f"{room}:{room}", f"{packages}:{PACKAGES}:ro"]}
    pools = {f"spawner-worker-{pool}": {**_of_pool(pool), **added} for pool in hub.pools()}
    for service in pools.values():
        service["environment"] = {**_of_pool_environ(hub, service.pop("pool")), **service["environment"]}
    secrets = {f"nats-url-pool-{pool}": {"file": str(hub.store / f"nats-url-pool-{pool}")} for pool in hub.pools()}
    return {
        "services": {**dict.fromkeys(hub.fixed(), added), **pools},
        "volumes": {"data": _bound(hub.data), **{name: _bound(hub.data / name) for name in ("postgres", "nats")}},
        **({"secrets": secrets} if secrets else {}),
    }


def _of_pool(pool: str) -> dict[str, Any]:
    """As docs/compose.md says it."""
    of = {"file": str(PROJECT / "deploy/compose.yaml"), "service": "spawner-worker"}
    return {"extends": of, "secrets": [f"nats-url-pool-{pool}"], "pool": pool}


def _of_pool_environ(hub: "ComposeHub", pool: str) -> dict[str, str]:
    return {
        "HUBBUB_POOL": pool,
        "HUBBUB_INSTANCE": f"spawner-worker-{pool}-1",
        "HUBBUB_NATS_URL_FILE": f"/run/secrets/nats-url-pool-{pool}",
    }


def _bound(folder: Path) -> dict[str, Any]:
    """A volume that is a folder of this machine."""
    return {"driver": "local", "driver_opts": {"type": "none", "o": "bind", "device": str(folder)}}


def _write_config(folder: Path, config: Path) -> None:
    """The shipped configuration, then the test's, then servers that are containers again."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(PROJECT / "deploy/compose/jupyterhub_config.py", folder / "shipped.py")
    for file in (*(PROJECT / "tests/integration").glob("*.py"), *config.parent.glob("*.py")):
        if not file.name.startswith("test_"):
            shutil.copy(file, folder)
    text = (HERE / "config_containers.py").read_text().replace("the_config_of_the_test.py", config.name)
    (folder / "jupyterhub_config.py").write_text(text)
    for path in (folder, *folder.iterdir()):
        path.chmod(0o755 if path.is_dir() else 0o644)


def sort_logs(lines: Iterable[str], folder: Path) -> None:
    """What Compose tells of all containers, a file for each, until it tells no more."""
    for line in lines:
        if found := _LINE.match(line):
            name = f"{found[1]}-{found[2]}" if found[2] else found[1]
            name = {"nats-1": "nats", "postgres-1": "postgres", "proxy-1": "proxy"}.get(name, name)
            with (folder / f"{name}.log").open("a") as log:
                log.write(found[3])
