"""Certificates of servers, with internal TLS: the key is made here, the api signs for the attempts that we hold."""

import asyncio
import shutil
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hubbub import subjects
from hubbub.bus import Bus
from hubbub.internal_tls import orders
from hubbub.internal_tls.files import Files, asking
from hubbub.internal_tls.orders import Order
from hubbub.internal_tls.parts import AUTHORITIES
from hubbub_spawner_worker.spawners.asked import alt_names_of

_NAME = "server"


class Certificates:
    """Those of one attempt; a spawner's `create_certs` asks for them, on whichever loop. Made on the bus's."""

    def __init__(self, bus: Bus, subject: str, folder: Path, *, server: str, attempt: int) -> None:
        self._bus = bus
        self._subject = subject
        self._files = Files.within(folder, _NAME)
        self._server = server
        self._attempt = attempt
        self._loop = asyncio.get_running_loop()

    @property
    def trust_bundles(self) -> dict[str, str]:
        """What JupyterHub's spawners call `internal_trust_bundles`; the file is there after `issue`.

        KubeSpawner asks for the hub's, to have the server trust them too. It is to trust whom it is to trust.
        """
        return dict.fromkeys(AUTHORITIES, str(self._files.cafile))

    async def issue(self, common_name: str, alt_names: Sequence[str]) -> dict[str, str]:
        """The paths of `keyfile`, `certfile` and `cafile`, which only our own user can read.

        The certificate says whose server it is by the log, whatever *common_name* is. Raises orders.Refused, or
        BadRequest (a ValueError) if one of *alt_names* is none.
        """
        order = Order.of("server", common_name, alt_names, server=self._server, attempt=self._attempt)
        asked = orders.send(self._bus, self._subject, [order])
        if asyncio.get_running_loop() is self._loop:
            [signed] = await asked
        else:  # an operator's class calls from the floor, and the bus is not there
            [signed] = await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(asked, self._loop))
        order.write(signed, self._files)
        return self._files.paths()


async def create_certs(spawner: Any, certificates: Certificates) -> dict[str, str]:
    """In place of the method of JupyterHub's own Spawner, which wants the authority's key beside it."""
    return await certificates.issue(f"user-{spawner.user.name or 'service'}", await alt_names_of(spawner))


class Issuer:
    """This worker's way to certificates; *folder*: of all workers of this host. `probe`: how to ask servers."""

    def __init__(self, bus: Bus, folder: Path, *, pool: str, worker: str, probe: ssl.SSLContext) -> None:
        self.probe = probe
        self._bus = bus
        self._folder = folder
        self._subject = _subject(pool, worker)

    @classmethod
    async def open(cls, bus: Bus, folder: Path, *, pool: str, worker: str) -> "Issuer":
        """With a certificate of the worker's own. Raises orders.Refused."""
        files = await orders.obtain(bus, _subject(pool, worker), folder / "workers" / worker, {"worker": ()})
        return cls(bus, folder, pool=pool, worker=worker, probe=asking(files["worker"]))

    def of(self, server: str, attempt: int) -> Certificates:
        place = self._place(server, attempt)
        return Certificates(self._bus, self._subject, place, server=server, attempt=attempt)

    def remove(self, server: str, attempt: int) -> None:
        """The attempt is over; whichever worker of this host has asked for them."""
        shutil.rmtree(self._place(server, attempt), ignore_errors=True)

    def _place(self, server: str, attempt: int) -> Path:
        return self._folder / "servers" / f"{subjects.token(server)}.{attempt}"


def _subject(pool: str, worker: str) -> str:
    return f"hub.rpc.certify.{pool}.{worker}"
