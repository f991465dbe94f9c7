"""`python -m hubbub_auth`: login, sessions and the OAuth2 provider, reached through the api."""

import asyncio
import os
import socket

import asyncpg
import structlog
from aiohttp import web

from hubbub import eventlog, schema, service
from hubbub.addresses import netloc
from hubbub.config import ConfigError, Options
from hubbub.handle import Committer
from hubbub.settings import Settings, give_up
from hubbub.vault import UnusableKey, Vault
from hubbub_auth import authenticators, tls
from hubbub_auth.announce import announced
from hubbub_auth.app import application
from hubbub_auth.authenticators import Authenticator

log = structlog.get_logger()

NEEDS = ("postgres_url", "cookie_secret", "vault_key", "forward_key")
#: More than an api lets through (`hubbub_api.malformed`): it refuses what is too long itself.
LONGEST_LINE = 64 * 1024
BIND = "HUBBUB_AUTH_BIND"
ANYWHERE = ("", "0.0.0.0", "::")


def main() -> None:
    settings = Settings.from_environ(needs=NEEDS)
    options = service.load_options(settings)
    host, port = where(os.environ.get(BIND, "127.0.0.1:0"))
    cookie_secret = secret(settings.cookie_secret)
    vault = open_vault(settings.vault_key)
    authenticator = make_authenticator(options)

    listening = listen(host, port)

    async def serve(stop: asyncio.Event) -> None:
        async with eventlog.pool(settings.postgres_url, largest=6) as pool:
            await check_schema(pool)
            committer = Committer(settings.postgres_url, vault)
            app = application(
                options=options,
                pool=pool,
                committer=committer,
                authenticator=authenticator,
                cookie_secret=cookie_secret,
                forward_key=settings.forward_key,
            )
            runner = web.AppRunner(app, access_log=None, max_line_size=LONGEST_LINE, max_field_size=LONGEST_LINE)
            await runner.setup()
            committing = asyncio.ensure_future(committer.run())
            try:
                context = None
                if options.hub.internal_ssl and (context := await tls.found(options, stop)) is None:
                    return
                url = address(listening, "https" if context else "http")
                await web.SockSite(runner, listening, shutdown_timeout=5, ssl_context=context).start()
                async with announced(pool, settings.instance, url):
                    service.announce("auth", url=url, authenticator=type(authenticator).__name__)
                    await service.until(stop, asyncio.shield(committing))
            finally:
                await runner.cleanup()  # what is being answered still needs the committer
                committing.cancel()

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
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(found) < 32:
        give_up("HUBBUB_COOKIE_SECRET must be at least 32 bytes in hexadecimal")
    return found


def open_vault(keys: str) -> Vault:
    try:
        return Vault(keys)
    except UnusableKey as error:
        give_up(f"HUBBUB_VAULT_KEY is {error}")


def make_authenticator(options: Options) -> Authenticator:
    try:
        return authenticators.make(options)
    except ConfigError as error:
        give_up(str(error))


async def check_schema(pool: "asyncpg.Pool[asyncpg.Record]") -> None:
    try:
        await schema.check(pool)
    except schema.SchemaTooNew as error:
        give_up(str(error))


def listen(host: str, port: int) -> socket.socket:
    """A socket, so that its port is known when 0 was asked for."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=512)
    except OSError as error:
        give_up(f"{BIND}: cannot listen on {host}:{port}: {error.strerror}")


def address(listening: socket.socket, scheme: str = "http") -> str:
    host, port = listening.getsockname()[:2]
    return f"{scheme}://{netloc(host, port)}"


if __name__ == "__main__":
    main()
