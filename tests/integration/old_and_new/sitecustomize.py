"""Chooses, at the start of every Python of a hub, of which release it is: see `releases.Mixture`.

The file that RELEASES_OF names says so by instance (`api-1`), or by service; "" is `hubbub` itself.
"""

import json
import os
import sys
from pathlib import Path


def _choose() -> None:
    instance = os.environ.get("HUBBUB_INSTANCE", "")
    chosen = json.loads(Path(os.environ["RELEASES_OF"]).read_text())
    folder = chosen.get(instance, chosen.get(instance.rpartition("-")[0], "")) if instance else chosen.get("", "")
    if folder:
        sys.path.insert(0, folder)
        _listen_where_told()


def _listen_where_told() -> None:
    """The first release opens the hub's port itself. `hubbub up` has it by now, and hands it on."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return
    import socket

    import uvloop

    given = [socket.socket(fileno=3 + each) for each in range(int(os.environ["LISTEN_FDS"]))]

    class Loop(uvloop.Loop):
        async def create_server(self, factory, host=None, port=None, *, reuse_port=None, **more):
            if not reuse_port:
                return await super().create_server(factory, host, port, **more)
            more.pop("reuse_address", None)
            return await super().create_server(factory, sock=given[0], **more)

    uvloop.new_event_loop = Loop


if "RELEASES_OF" in os.environ:
    _choose()
