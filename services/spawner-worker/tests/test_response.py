"""Waiting for a server's first answer."""

import asyncio

import pytest

from hubbub_spawner_worker.response import version_of


@pytest.fixture
async def serve():
    """serve(*answers) -> url: a server that gives one answer after the other; the last for ever."""
    servers = []

    async def begin(*answers):
        left = list(answers)
        seen = []

        async def attend(reader, writer):
            seen.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(left.pop(0) if len(left) > 1 else left[0])
            writer.close()

        server = await asyncio.start_server(attend, "127.0.0.1", 0)
        servers.append(server)
        return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/user/ada/api", seen

    yield begin
    for server in servers:
        server.close()


async def test_the_version_is_read(serve):
    url, seen = await serve(b"HTTP/1.1 200 OK\r\nx-jupyterhub-VERSION:  6.1.1 \r\n\r\nbody")
    assert await version_of(url) == "6.1.1"
    assert seen[0].startswith(b"GET /user/ada/api HTTP/1.1\r\nHost: 127.0.0.1:")


@pytest.mark.parametrize("status", [b"204 No", b"302 Found\r\nLocation: http://127.0.0.1:1/", b"404 Not", b"403"])
async def test_any_status_below_500_is_an_answer(serve, status):
    url, seen = await serve(b"HTTP/1.1 " + status + b"\r\n\r\n")
    assert await version_of(url) == ""
    assert len(seen) == 1


@pytest.mark.parametrize(
    "bad",
    [b"HTTP/1.1 503 Later\r\n\r\n", b"", b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 x\r\n\r\n", b"x" * 200_000, b"HTTP/1.1"],
)
async def test_whatever_else_comes_back_it_asks_again(serve, bad):
    url, seen = await serve(bad, bad, b"HTTP/1.1 200 OK\r\n\r\n")
    async with asyncio.timeout(10):
        await version_of(url)
    assert len(seen) == 3


async def test_one_that_does_not_listen_yet_is_asked_again(serve):
    url, _ = await serve(b"HTTP/1.1 200 OK\r\n\r\n")
    waiting = asyncio.create_task(version_of("http://127.0.0.1:1/"))
    await version_of(url)
    assert not waiting.done()
    waiting.cancel()
