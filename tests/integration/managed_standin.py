"""A managed service as its author writes it, with JupyterHub's own classes: told all it needs by its environment.

It shows anybody its process and its environment; and at `whoami` the visitor, as the hub knows them.
"""

import asyncio
import os
import secrets
import signal
from urllib.parse import urlsplit

from jupyterhub.services.auth import HubOAuthCallbackHandler, HubOAuthenticated
from tornado.web import Application, RequestHandler, authenticated

PREFIX = os.environ["JUPYTERHUB_SERVICE_PREFIX"]


class About(RequestHandler):
    def get(self) -> None:
        self.write({"pid": os.getpid(), "cwd": os.getcwd(), "env": dict(os.environ)})


class WhoAmI(HubOAuthenticated, RequestHandler):
    @authenticated
    def get(self) -> None:
        self.write(self.get_current_user())


HANDLERS = [
    (PREFIX, About),
    (f"{PREFIX}whoami", WhoAmI),
    (f"{PREFIX}oauth_callback", HubOAuthCallbackHandler),
]


async def serve() -> None:
    url = urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"])
    Application(HANDLERS, cookie_secret=secrets.token_bytes(32)).listen(url.port or 0, url.hostname)
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    await ended.wait()


if __name__ == "__main__":
    asyncio.run(serve())
