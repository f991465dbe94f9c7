"""The addresses of upstreams that have names: HAProxy is told addresses, and told anew when they change."""

import asyncio
import ipaddress
import socket
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor

from hubbub_proxy_sync.proxies.proxy import RouteRefused

#: Seconds for one question.
PATIENCE = 5.0
#: Questions at once. In threads of their own: some take minutes to give up.
AT_ONCE = 32


class Names:
    """`known`: of each name that was looked up, its addresses in order of preference."""

    def __init__(self) -> None:
        self.known: dict[str, tuple[str, ...]] = {}
        self._threads = ThreadPoolExecutor(AT_ONCE, "names")

    async def look_up(self, names: Collection[str]) -> dict[str, str]:
        """The address of each; those that have none are left out."""
        if not names:
            return {}
        found = zip(names, await asyncio.gather(*map(self._ask, names)), strict=True)
        answered = {name: addresses for name, addresses in found if addresses}
        self.known |= answered
        return {name: addresses[0] for name, addresses in answered.items()}

    async def refresh(self, names: Collection[str]) -> None:
        """Look these up again, and forget all others. Of those that nobody knows now the last addresses are kept."""
        await self.look_up(names)
        self.known = {name: addresses for name, addresses in self.known.items() if name in names}

    def has_moved(self, name: str, address: str) -> bool:
        """Whether *name* is known, and not by *address*."""
        return name in self.known and address not in self.known[name]

    async def _ask(self, name: str) -> tuple[str, ...]:
        asked = asyncio.get_running_loop().run_in_executor(self._threads, _addresses, name)
        try:
            return await asyncio.wait_for(asyncio.shield(asked), PATIENCE)
        except TimeoutError:
            return ()


def _addresses(name: str) -> tuple[str, ...]:
    try:
        found = {str(address[0]) for *_, address in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        return ()
    # HAProxy tries one alone, and what listens nowhere else does so at its IPv4 address.
    return tuple(sorted(found, key=lambda each: (ipaddress.ip_address(each.partition("%")[0]).version, each)))


def needed(name: str, found: dict[str, str]) -> str:
    """Raises RouteRefused if it was not found."""
    if name not in found:
        raise RouteRefused(f"{name} has no address")
    return found[name]
