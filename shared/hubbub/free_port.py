"""A TCP port for a server that is about to start."""

import random
import socket
from collections import deque
from pathlib import Path

#: What this process has claimed and may not have listened on yet. The oldest of so many had their time.
_claims: deque[socket.socket] = deque(maxlen=200)


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
    behind, however the process ends.
    """
    name = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        name.bind(f"\0hubbub-port-{port}")
    except OSError:
        name.close()
        return False
    _claims.append(name)
    return True
