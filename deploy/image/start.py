"""The first program of an image: gives the container its name in the house, and becomes the service.

The name is the first that no other container on the same data volume has (`api-1`, `api-2`, ...): unique, and the same
after a restart, or in a new container of a newer image.
"""

import fcntl
import os
import socket
import sys
from itertools import count
from pathlib import Path

PYTHON = "/opt/hubbub/bin/python"
AUTH_PORT = 8082


def main() -> None:
    service = os.environ["HUBBUB_SERVICE"]
    if service == "setup":
        os.execv(PYTHON, [PYTHON, "-m", "hubbub_local", *sys.argv[1:]])
    if not os.environ.get("HUBBUB_INSTANCE") and not os.environ.get("HUBBUB_CREDENTIAL"):
        os.environ["HUBBUB_INSTANCE"] = name(service, Path(os.environ["HUBBUB_DATA"], "instances"))
    if service == "auth" and "HUBBUB_AUTH_BIND" not in os.environ:
        # Apis look it up at the address of this container alone, which is another one after a cut of the network.
        host = os.environ["HUBBUB_AUTH_NAME"] = socket.gethostname()
        os.environ["HUBBUB_AUTH_BIND"] = f"{socket.gethostbyname(host)}:{AUTH_PORT}"
    os.execv(PYTHON, [PYTHON, "-m", f"hubbub_{service.replace('-', '_')}", *sys.argv[1:]])


def name(service: str, folder: Path) -> str:
    """Ours for as long as this process lives: the kernel lets go of the lock however it ends."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in count(1):
        found = f"{service}-{number}"
        lock = os.open(folder / found, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        os.set_inheritable(lock, True)
        return found
    raise AssertionError


if __name__ == "__main__":
    main()
