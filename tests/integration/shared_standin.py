"""A single-user server as small as can be that lets in whom the hub lets in, by JupyterHub's own classes, unmodified.

It asks the hub at every request, where JupyterHub's own would ask once in five minutes.
"""

import asyncio
import os
from urllib.parse import urlsplit

from jupyterhub.services.auth import HubOAuth, _ExpiringDict
from tornado.httpserver import HTTPServer

from service_standin import application


class Forgetful(_ExpiringDict):
    def __setitem__(self, key: str, value: object) -> None:
        pass


async def serve() -> None:
    HubOAuth.instance(cache=Forgetful())
    url = urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"])
    server = HTTPServer(application("oauth", os.environ["JUPYTERHUB_SERVICE_PREFIX"]))
    server.listen(url.port or 0, url.hostname)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve())
