"""A nats-server of its own for each test, with JetStream and the house's users; it starts in some milliseconds."""

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from hubbub.free_port import free_port
from hubbub.subjects import permissions


class NatsServer:
    """`start`, `kill` and `start` it again as a test needs: the port and what JetStream has stored stay."""

    def __init__(self, folder: Path, pools: Sequence[str] = ("default",)) -> None:
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._log = folder / "nats.log"
        self._config = folder / "nats.conf"
        users = [
            {"user": user, "password": f"password-of-{user}", "permissions": allowed}
            for user, allowed in permissions(pools).items()
        ]
        configuration = {
            "host": "127.0.0.1",
            "port": self._port,
            "jetstream": {"store_dir": str(folder / "jetstream")},
            "authorization": {"users": users},
        }
        self._config.write_text(json.dumps(configuration))

    def url(self, user: str) -> str:
        return f"nats://{user}:password-of-{user}@127.0.0.1:{self._port}"

    def start(self) -> None:
        binary = shutil.which(Path(sys.executable).parent / "nats-server") or "nats-server"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([binary, "-c", self._config], stdout=log, stderr=log)
        for _ in range(1000):
            try:
                socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
            except OSError:
                time.sleep(0.01)  # it tells nobody
            else:
                return
        raise AssertionError(f"nats-server did not start: {self._log.read_text()}")

    def kill(self) -> None:
        """As by `kill -9`."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None
