"""The sockets at which the hub listens: opened by `hubbub up`, handed to every api (see `hubbub.listening`)."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from hubbub_local.addresses import Address
from hubbub_local.errors import StackError

_BACKLOG = 1024


@contextmanager
def listening(address: Address) -> Iterator[list[socket.socket]]:
    """One for each address of the host, until the block ends; none for what is no TCP. Raises StackError."""
    with ExitStack() as opened:
        if not address.is_tcp:
            yield []
            return
        try:
            yield [opened.enter_context(each) for each in _open(address.host, address.port or 0)]
        except OSError as error:
            raise StackError(f"cannot listen on {address.host}:{address.port}: {error.strerror or error}") from None


def _open(host: str, port: int) -> Iterator[socket.socket]:
    where = None if host in {"", "*"} else host
    for family, kind, protocol, _, place in sorted(
        set(socket.getaddrinfo(where, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE))
    ):
        made = None
        with suppress(OSError):  # a machine may be without IPv6 although it has names for it
            made = socket.socket(family, kind, protocol)
        if made is None:
            continue
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(place)
        made.listen(_BACKLOG)
        yield made
