"""Looks for secrets wherever a running hub may have left them."""

import urllib.parse
from contextlib import suppress

import asyncpg
import psutil

from stack import Hub

#: Who may hold secrets, to be read by their owner alone.
KEEPERS = {"secrets.json", "nats-users.conf", "nats.key", "nats-ca.key", "login-password", "run/stack.json"}


def leaks(secrets: dict[str, str], places: dict[str, bytes]) -> list[str]:
    """A sentence for each secret that is somewhere."""
    found = []
    for place, text in places.items():
        for name, secret in secrets.items():
            for spelling in {secret, urllib.parse.quote(secret, safe=""), secret.encode().hex()}:
                if (at := text.find(spelling.encode())) >= 0:
                    found.append(f"{name} is in {place}: ...{text[max(0, at - 150) : at + 20]!r}")
                    break
    return found


async def tables(it: Hub) -> dict[str, bytes]:
    connection = await asyncpg.connect(it.running()["owner_dsn"])
    try:
        names = await connection.fetch("select tablename from pg_tables where schemaname = 'public'")
        assert "events" in {row[0] for row in names}
        return {
            name: "\n".join(row[0] for row in await connection.fetch(f'select t::text from public."{name}" t')).encode()
            for (name,) in names
        }
    finally:
        await connection.close()


def arguments(it: Hub) -> dict[int, bytes]:
    """Anybody on the machine may read them."""
    found = {}
    for process in it.everybody():
        with suppress(psutil.NoSuchProcess):
            found[process.pid] = "\n".join(process.cmdline()).encode()
    return found


def files(it: Hub) -> dict[str, bytes]:
    found = {}
    for path in it.data.rglob("*"):
        name = str(path.relative_to(it.data))
        if not path.is_file():
            continue
        if name in KEEPERS or name.startswith("secrets/"):
            closed = min(one.stat().st_mode & 0o077 for one in (path, path.parent)) == 0
            assert closed, f"others may read {name}"
            continue
        found[f"file {name}"] = path.read_bytes()
    assert any(name.startswith("file log/") for name in found)
    return found
