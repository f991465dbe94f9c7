"""A TCP port for a server that is about to start."""

import random
import socket
from pathlib import Path


def free_port(host: str = "127.0.0.1") -> int:
    """One that nobody has now, below the range from which the kernel takes ports for outgoing connections: of those
    any may be taken, for a moment, whenever the server starts.
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
            return port
