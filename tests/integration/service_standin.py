"""A service as its author writes it: JupyterHub's own classes, unmodified, and a page that shows who visits.

`service_standin.py token` knows people by their tokens alone, `... oauth` sends them to the hub. What it needs
to know is in the environment, as JupyterHub documents it; its listening socket is file descriptor LISTEN_FD.
"""

import asyncio
import os
import re
import secrets
import socket
import sys
from typing import Any

from jupyterhub.services.auth import HubAuthenticated, HubOAuthCallbackHandler, HubOAuthenticated
from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler, authenticated


class WhoAmI(HubAuthenticated, RequestHandler):
    @authenticated
    def get(self) -> None:
        self.write(self.get_current_user())


class Page(HubOAuthenticated, RequestHandler):
    @authenticated
    def get(self) -> None:
        self.write({**self.get_current_user(), "xsrf": self.xsrf_token.decode()})

    @authenticated
    def post(self) -> None:
        self.write(self.get_current_user())


def application(kind: str, prefix: str) -> Application:
    prefix = re.escape(prefix)
    handlers: list[Any] = [(prefix, WhoAmI)]
    if kind == "oauth":
        handlers = [(f"{prefix}oauth_callback", HubOAuthCallbackHandler), (f"{prefix}.*", Page)]
    return Application(handlers, cookie_secret=secrets.token_bytes(32))


async def serve() -> None:
    server = HTTPServer(application(sys.argv[1], os.environ["JUPYTERHUB_SERVICE_PREFIX"]))
    listening = socket.socket(fileno=int(os.environ["LISTEN_FD"]))
    listening.setblocking(False)
    server.add_sockets([listening])
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve())
