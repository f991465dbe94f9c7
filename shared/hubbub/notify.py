"""A word to systemd, if that is who has started us (sd_notify(3)): so that it knows when a service does its work."""

import os
import socket
from contextlib import suppress

READY, ALIVE = "READY=1", "WATCHDOG=1"


def tell(words: str) -> None:
    """To nobody, where NOTIFY_SOCKET is not set."""
    if not (path := os.environ.get("NOTIFY_SOCKET", "")):
        return
    address = f"\0{path[1:]}" if path.startswith("@") else path
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as end:
        end.sendto(words.encode(), address)
