"""A server, or a managed service, that takes and shows certificates, as its environment tells it to.

Answers with its environment and with whose certificate it was asked; at `ask-hub` with what the hub said to it.
"""

import asyncio
import os
import ssl
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web

KEY, CERTIFICATE, TRUSTED = (os.environ[f"JUPYTERHUB_SSL_{name}"] for name in ("KEYFILE", "CERTFILE", "CLIENT_CA"))


def context(purpose: ssl.Purpose) -> ssl.SSLContext:
    made = ssl.create_default_context(purpose, cafile=TRUSTED)
    made.verify_mode = ssl.CERT_REQUIRED
    made.load_cert_chain(CERTIFICATE, KEY)
    return made


async def show(request: web.Request) -> web.Response:
    names = [value for [(key, value)] in request.get_extra_info("peercert")["subject"] if key == "commonName"]
    shown = {key: value for key, value in os.environ.items() if "JUPYTERHUB" in key}
    body = {"pid": os.getpid(), "env": shown, "asked_by": names[0]}
    return web.json_response(body, headers={"X-Standin": "1"})


async def ask_hub(_: web.Request) -> web.Response:
    connector = aiohttp.TCPConnector(ssl=context(ssl.Purpose.SERVER_AUTH))
    headers = {"Authorization": f"token {os.environ['JUPYTERHUB_API_TOKEN']}"}
    url = f"{os.environ['JUPYTERHUB_API_URL']}/user"
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session, session.get(url) as answer:
        return web.json_response({"status": answer.status, "body": await answer.json()})


def application() -> web.Application:
    app = web.Application()
    app.router.add_get("/{_:.*}ask-hub", ask_hub)
    app.router.add_get("/{_:.*}", show)
    return app


if __name__ == "__main__":
    url = urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"])
    asyncio.set_event_loop(asyncio.new_event_loop())
    web.run_app(
        application(), host=url.hostname, port=url.port, ssl_context=context(ssl.Purpose.CLIENT_AUTH), print=None
    )
