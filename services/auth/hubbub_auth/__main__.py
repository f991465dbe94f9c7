"""`python -m hubbub_auth`: login, sessions and the OAuth2 provider, reached through the api."""

import asyncio
import os
import socket
from functools import partial
from typing import Any

import asyncpg
import structlog
from aiohttp import web

from hubbub import eventlog, schema, service
from hubbub.addresses import netloc
from hubbub.config import ConfigError, Options
from hubbub.floor import Floor
from hubbub.handle import Committer
from hubbub.house import HouseNow
from hubbub.settings import Settings, give_up
from hubbub.telling import Teller
from hubbub.vault import UnusableKey, Vault
from hubbub.web import cookie_secret as signing
from hubbub_auth import tls
from hubbub_auth.admission import Admission
from hubbub_auth.announce import announced
from hubbub_auth.app import about, application
from hubbub_auth.authenticators import configured
from hubbub_auth.keys import ADMISSION, COUNTS, HOSTED, HOUSE

log = structlog.get_logger()

NEEDS = ("postgres_url", "cookie_secret", "vault_key", "forward_key")
#: More than an api lets through (`hubbub_api.malformed`): it refuses what is too long itself.
LONGEST_LINE = 64 * 1024
BIND = "HUBBUB_AUTH_BIND"
#: Of this machine or container: where it is set, we listen everywhere, and apis are told the address that it has.
NAME = "HUBBUB_AUTH_NAME"
#: Seconds until no api sends anything more to one that has taken itself back.
UNHEARD = 0.2
ANYWHERE = ("", "0.0.0.0", "::")


def main() -> None:
    settings = Settings.from_environ(needs=NEEDS)
    options = service.load_options(settings)
    host, port = where(os.environ.get(BIND, "127.0.0.1:0"))
    name = os.environ.get(NAME, "")
    cookie_secret = secret(settings.cookie_secret)
    vault = open_vault(settings.vault_key)
    authenticator = make_authenticator(options, settings.postgres_url)
    floor = Floor()

    listening = listen("0.0.0.0" if name else host, port)

    async def serve(stop: asyncio.Event) -> None:
        async with eventlog.pool(settings.postgres_url, largest=6) as pool:
            await check_schema(pool)
            committer = Committer(settings.postgres_url, vault)
            app = application(
                options=options,
                pool=pool,
                committer=committer,
                vault=vault,
                authenticator=authenticator,
                floor=floor,
                cookie_secret=cookie_secret,
                forward_key=settings.forward_key,
            )
            house = app[HOUSE] = HouseNow(settings.postgres_url)
            await house.load(pool)
            teller = Teller(pool, app[COUNTS], service="auth", process=settings.instance)
            runner = web.AppRunner(
                app,
                access_log=None,
                max_line_size=LONGEST_LINE,
                max_field_size=LONGEST_LINE,
                shutdown_timeout=settings.grace_seconds,
            )
            await runner.setup()
            committing = asyncio.ensure_future(committer.run())
            try:
                context = None
                if options.hub.internal_ssl and (context := await tls.found(options, stop)) is None:
                    return
                scheme = "https" if context else "http"
                url = Addresses(name, listening, scheme) if name else partial(address, listening, scheme)
                await web.SockSite(runner, listening, ssl_context=context).start()
                await settle_roles(app[ADMISSION])
                async with announced(pool, settings.instance, about(app, url()), url=url):
                    service.announce("auth", url=url(), authenticator=repr(app[HOSTED]))
                    await service.until(stop, asyncio.shield(committing), house.run(), teller.run())
                await asyncio.sleep(UNHEARD)
            finally:
                await runner.cleanup()  # what is being answered still needs the committer
                committing.cancel()
                floor.close()

    service.run("auth", settings, serve, options.hub.log_level)


def where(text: str) -> tuple[str, int]:
    """`host:port`; the api must be able to reach it, so "anywhere" is no answer."""
    host, _, port = text.rpartition(":")
    host = host.strip("[]")
    if host in ANYWHERE or not port.isdigit() or int(port) > 65535:
        give_up(f"{BIND} must be host:port, with an address that the api can reach, not {text!r}")
    return host, int(port)


def secret(text: str) -> bytes:
    try:
        return signing.read(text)
    except signing.BadSecret:
        give_up("HUBBUB_COOKIE_SECRET must be at least 32 bytes in hexadecimal")


def open_vault(keys: str) -> Vault:
    try:
        return Vault(keys)
    except UnusableKey as error:
        give_up(f"HUBBUB_VAULT_KEY is {error}")


def make_authenticator(options: Options, postgres_url: str) -> Any:
    try:
        return configured.make(options, postgres_url)
    except ConfigError as error:
        give_up(str(error))


async def check_schema(pool: "asyncpg.Pool[asyncpg.Record]") -> None:
    try:
        await schema.check(pool)
    except schema.SchemaTooNew as error:
        give_up(str(error))


async def settle_roles(admission: Admission) -> None:
    try:
        await admission.settle_roles()
    except ConfigError as error:
        give_up(str(error))


def listen(host: str, port: int) -> socket.socket:
    """A socket, so that its port is known when 0 was asked for."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=512)
    except OSError as error:
        give_up(f"{BIND}: cannot listen on {host}:{port}: {error.strerror}")


class Addresses:
    """The URL of a name as its address changes, by what this machine itself knows; the last one while it has none."""

    def __init__(self, name: str, listening: socket.socket, scheme: str) -> None:
        self._name = name
        self._port = listening.getsockname()[1]
        self._scheme = scheme
        self._last = ""

    def __call__(self) -> str:
        try:
            self._last = socket.gethostbyname(self._name)
        except OSError as error:
            if not self._last:
                give_up(f"{NAME}: nobody knows {self._name!r}: {error.strerror}")
        return f"{self._scheme}://{netloc(self._last, self._port)}"


def address(listening: socket.socket, scheme: str = "http") -> str:
    host, port = listening.getsockname()[:2]
    return f"{scheme}://{netloc(host, port)}"


if __name__ == "__main__":
    main()
