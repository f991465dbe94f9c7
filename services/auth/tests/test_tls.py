"""auth with internal TLS: it waits for its certificate, and takes nobody but an api."""

import asyncio
from pathlib import Path

import pytest
from traitlets.config import Config

from hubbub.config import Options
from hubbub.internal_tls.authorities import kept
from hubbub.internal_tls.files import asking
from hubbub.settings import Settings
from hubbub.testing.tls import authorities, issued
from hubbub_auth import tls
from hubbub_auth.__main__ import address, listen


@pytest.fixture
def options(tmp_path: Path) -> Options:
    return Options(Config({"JupyterHub": {"internal_ssl": True}}), Settings(instance="auth-1", data=str(tmp_path)))


async def answered(port: int, context) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        writer.write(b"?")
        found = await reader.read(1)
        writer.close()
    except OSError:
        return False
    return found == b"!"


async def test_an_api_is_heard_and_a_server_is_not(options: Options, tmp_path: Path):
    found = authorities(options.certs_folder)

    async def attend(reader, writer):
        await reader.read(1)
        writer.write(b"!")
        writer.close()

    server = await asyncio.start_server(attend, "127.0.0.1", 0, ssl=await tls.found(options, asyncio.Event()))
    port = server.sockets[0].getsockname()[1]
    assert await answered(port, asking(kept(options.certs_folder, "hub-internal")))
    assert not await answered(port, asking(issued(found, tmp_path / "server", "server")))
    server.close()


async def test_it_waits_until_the_api_has_made_the_certificate(options: Options):
    waiting = asyncio.create_task(tls.found(options, asyncio.Event()))
    await asyncio.sleep(0)
    assert not waiting.done()
    await asyncio.to_thread(authorities, options.certs_folder)
    async with asyncio.timeout(10):
        assert await waiting is not None


async def test_told_to_stop_it_waits_no_longer(options: Options):
    stop = asyncio.Event()
    waiting = asyncio.create_task(tls.found(options, stop))
    await asyncio.sleep(0)
    stop.set()
    async with asyncio.timeout(10):
        assert await waiting is None


def test_it_says_how_it_is_reached():
    with listen("127.0.0.1", 0) as listening:
        assert address(listening, "https") == f"https://127.0.0.1:{listening.getsockname()[1]}"
