"""What a classic spawner's server has printed, from where its backend keeps it.

JupyterHub has no method for this, so each family is known by what its spawners offer, not by its name: a class
derived from one of them, or written after it, is as good.
"""

import asyncio
import subprocess
from collections.abc import Iterable
from typing import Any

_JOURNAL = ("journalctl", "--no-pager", "--quiet", "--output=cat")
_SERVERS_CONTAINER = "notebook"
"""What kubespawner calls the container of the server, among others in its pod."""


class NoJournal(Exception):
    """The journal cannot be read."""


async def backend_log(spawner: Any, lines: int) -> str | None:
    """The last *lines* of it; null where nobody keeps one that we know of. To be called where the spawner lives.

    Raises whatever the backend does.
    """
    if (child := getattr(spawner, "child_spawner", None)) is not None:  # wrapspawner
        return await backend_log(child, lines)
    if callable(getattr(spawner, "docker", None)) and hasattr(spawner, "object_id"):
        return await _of_docker(spawner, lines)
    if hasattr(spawner, "pod_name") and hasattr(spawner, "api"):
        return await _of_kubernetes(spawner, lines)
    if unit := getattr(spawner, "unit_name", ""):
        return await _of_systemd(unit, lines)
    return None


async def _of_docker(spawner: Any, lines: int) -> str | None:
    """Of a container, or of a service of a swarm."""
    if not spawner.object_id:
        return None
    is_service = getattr(spawner, "object_type", "container") == "service"
    method = "service_logs" if is_service else "logs"
    found = await spawner.docker(method, spawner.object_id, stdout=True, stderr=True, tail=lines)
    return _text(found if isinstance(found, bytes) else await asyncio.to_thread(_joined, found))


async def _of_kubernetes(spawner: Any, lines: int) -> str:
    found = await spawner.api.read_namespaced_pod_log(
        name=spawner.pod_name, namespace=spawner.namespace, container=_SERVERS_CONTAINER, tail_lines=lines
    )
    return found if isinstance(found, str) else _text(found)


async def _of_systemd(unit: str, lines: int) -> str:
    name = unit if unit.endswith(".service") else f"{unit}.service"
    try:
        reading = await asyncio.create_subprocess_exec(
            *_JOURNAL,
            f"--unit={name}",
            f"--lines={lines}",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    except FileNotFoundError:
        raise NoJournal("there is no journalctl on this host") from None
    try:
        output, errors = await reading.communicate()
    finally:
        if reading.returncode is None:
            reading.kill()
    if reading.returncode:
        raise NoJournal(_text(errors).strip() or f"journalctl ended with {reading.returncode}")
    return _text(output)


def _joined(parts: Iterable[bytes]) -> bytes:
    """It blocks while more is on the way."""
    return b"".join(parts)


def _text(data: bytes) -> str:
    return data.decode(errors="replace")
