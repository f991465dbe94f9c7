"""No room left: on the disk of NATS, then on that of Postgres. Both are small file systems of their own here."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from checks import five_checks
from stack import Hub, eventually, hub

NATS, POSTGRES = "40m", "160m"


@contextmanager
def small(folder: Path, size: str) -> Iterator[None]:
    """What is in *folder* goes on, with so much room."""
    copy = folder.with_name(f"{folder.name}.copy")
    subprocess.run(["cp", "-a", folder, copy], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", folder], check=True)
    try:
        subprocess.run(["cp", "-a", f"{copy}/.", folder], check=True)
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Hub]:
    data = tmp_path / "data"
    async with hub(data) as first:
        await first.stop()
    with ExitStack() as stack:
        await asyncio.to_thread(stack.enter_context, small(data / "nats", NATS))
        await asyncio.to_thread(stack.enter_context, small(data / "postgres", POSTGRES))
        async with hub(data) as made:
            yield made


@contextmanager
def full(folder: Path) -> Iterator[None]:
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(65536))
    assert shutil.disk_usage(folder).free < 65536
    try:
        yield
    finally:
        ballast.unlink()


async def says(it: Hub, event: str) -> bool:
    return f'"{event}"' in (it.data / "log" / "api-1.log").read_text()


async def started(it: Hub, name: str) -> None:
    await it.user(name)
    status, body = await it.api("POST", f"/users/{name}/server")
    assert status in (201, 202), body
    await eventually(lambda: it.is_ready(name), 30, f"{name}'s server ready")


async def refused(it: Hub) -> str:
    """What it says once it takes no more."""
    for number in range(2000):
        status, body = await it.api("POST", f"/users/u{number}")
        if status != 201:
            assert status == 503, body
            return str(body["message"])
    raise AssertionError("it took everything")


async def test_a_full_disk_is_survived_and_told(house: Hub) -> None:
    with full(house.data / "nats"):
        await started(house, "ada")  # nothing can be kept for those who hear it later, but they ask by themselves
        await eventually(lambda: says(house, "relay.keeps_nothing"), 30, "that NATS keeps nothing is said")

    with full(house.data / "postgres"):
        assert "disk of the database is full" in await refused(house)
        assert await house.standin("ada") is not None  # whoever works, works on
        status, _ = await house.api("GET", "/users/ada")
        assert status == 200  # what can be read is

    async def takes() -> bool:
        return (await house.api("POST", "/users/bob"))[0] in (201, 409)

    await eventually(takes, 30, "the database takes something again")
    await started(house, "bob")
    await five_checks(house)
