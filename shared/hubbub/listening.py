"""Sockets that whoever starts a service has opened for it, and keeps: who comes while it restarts is not turned away.

By the convention of systemd's socket activation (sd_listen_fds(3)): `LISTEN_FDS` of them, from file descriptor 3 on,
for the process `LISTEN_PID`.
"""

import os
import socket
from collections.abc import Mapping

FIRST = 3


def given(environ: Mapping[str, str] | None = None) -> list[socket.socket]:
    """Those that this process was given; none if it has to listen by itself. Raises OSError if they are no sockets."""
    environ = os.environ if environ is None else environ
    if environ.get("LISTEN_PID", str(os.getpid())) != str(os.getpid()):
        return []  # they were meant for a process that has started us
    number = environ.get("LISTEN_FDS", "0")
    found = [socket.socket(fileno=FIRST + each) for each in range(int(number) if number.isdecimal() else 0)]
    for each in found:
        each.setblocking(False)
        os.set_inheritable(each.fileno(), False)
    return found
