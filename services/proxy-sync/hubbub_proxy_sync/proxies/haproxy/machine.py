"""What this machine has, and lets us have."""

import errno
import os
import resource
import signal
import socket
import ssl
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

#: Connections at once, unless the operator says otherwise: a browser with a notebook has a handful.
USUAL = 20_000
#: File descriptors that are no connection's.
_OTHERS = 250


def maxconn() -> int:
    """As many as there may be files for, two each, up to USUAL."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return USUAL if hard == resource.RLIM_INFINITY else max(100, min(USUAL, (hard - _OTHERS) // 2))


def authorities() -> str:
    """A file or folder of the certificates that are trusted here, "" if there is none."""
    paths = ssl.get_default_verify_paths()
    usual = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
    return next((path for path in (paths.cafile, *usual) if path and Path(path).is_file()), "")


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def is_taken(bind_url: str, port: int) -> bool:
    """Whether somebody listens there. HAProxy would not mind another HAProxy, and each had half of the connections."""
    host = urlsplit(bind_url).hostname or ""
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("" if host == "*" else host, port))
    except OSError as error:
        return error.errno == errno.EADDRINUSE
    return False


def end_session(leader: int) -> None:
    """Kill what is left of the session that *leader*, which is gone, had begun."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, IndexError, ValueError):
            fields = stat.read_text(errors="replace").rpartition(")")[2].split()
            pid = int(stat.parent.name)
            if int(fields[3]) == leader and pid != leader and fields[0] not in "ZX":
                os.kill(pid, signal.SIGKILL)
