"""A TCP port for a server that is about to start."""

import errno
import random
import socket
from collections import deque
from contextlib import ExitStack
from pathlib import Path

#: Claims at once; by then the oldest has had its time.
MOST = 200
_claims: deque[socket.socket] = deque()


def free_port(host: str = "127.0.0.1") -> int:
    """One that nobody has now or has claimed, below the range from which the kernel takes ports for outgoing
    connections: of those any may be taken, for a moment, whenever the server starts.
    """
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    first = max(1024, low - 12_000)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    while True:
        port = random.randrange(first, max(low, first + 1000))  # noqa: S311  (nobody has to guess it)
        with socket.socket(family) as probe:
            try:
                probe.bind((host, port))
            except OSError:
                continue
        if claim(port):
            return port


def claim(port: int) -> bool:
    """Whether it is for this process to say who listens there: until it ends, nobody else who looks for one gets it.

    A name in the kernel's abstract namespace, of which there is one for each network, as of ports: nothing is left
    behind, however the process ends. Who may have no such name has what is free without it.
    """
    with ExitStack() as unless_claimed:
        try:
            name = unless_claimed.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
            name.bind(f"\0hubbub-port-{port}")
        except OSError as error:
            return error.errno != errno.EADDRINUSE
        unless_claimed.pop_all()
    _claims.append(name)
    if len(_claims) > MOST:
        _claims.popleft().close()
    return True
