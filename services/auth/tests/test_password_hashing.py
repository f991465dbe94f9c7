"""The processes that look at passwords: what they compute, and how they end."""

import asyncio
import sys
from pathlib import Path

import pytest

from hubbub.testing.eventually import eventually
from hubbub_auth import argon
from hubbub_auth.authenticators.passwords.hashing import Cost, Hashing

CHEAP = Cost(time=1, memory=7168)

SCRIPT = """
import asyncio
from hubbub_auth.authenticators.passwords.hashing import Cost, Hashing

async def main():
    hashing = Hashing(Cost(time=1, memory=7168), processes=2, queue=0)
    await hashing.begin()
    print(*hashing._pool._processes, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


def test_the_default_is_what_owasp_asks_for_at_least():
    assert Cost() == Cost(time=2, memory=19 * 1024, lanes=1)


@pytest.mark.parametrize("cost", [CHEAP, Cost(time=2, memory=8192, lanes=2)])
def test_a_hash_is_argon2id_with_a_salt_of_its_own(cost: Cost):
    first, second = (argon.hashed(cost.time, cost.memory, cost.lanes, b"rain") for _ in range(2))
    assert first != second
    assert first.startswith(f"$argon2id$v=19$m={cost.memory},t={cost.time},p={cost.lanes}$")
    assert cost.is_of(first)
    assert (argon.verify(first, b"rain"), argon.verify(first, b"tent")) == (True, False)


def test_other_costs_are_noticed():
    assert not Cost(time=2, memory=7168).is_of(argon.hashed(1, 7168, 1, b"rain"))


def test_a_decoy_is_checked_like_any_hash_and_matches_nothing():
    decoy = CHEAP.decoy()
    assert CHEAP.is_of(decoy)
    assert len(decoy) == len(argon.hashed(1, 7168, 1, b"rain"))
    assert not argon.verify(decoy, b"")
    assert decoy != CHEAP.decoy()


@pytest.mark.parametrize("encoded", ["", "nonsense", "$argon2id$v=19$m=1$$", "$argon2id$v=19$m=7168,t=1,p=1$AAAA$AAAA"])
def test_what_is_no_hash_matches_nothing(encoded: str):
    assert not argon.verify(encoded, b"rain")


async def test_a_closed_pool_leaves_no_process():
    hashing = Hashing(CHEAP, processes=2, queue=0)
    await hashing.begin()
    processes = list(hashing._pool._processes)
    assert len(processes) == 2
    hashing.close()
    await eventually(lambda: not any(Path(f"/proc/{process}").exists() for process in processes))


async def test_processes_end_with_a_service_that_is_killed():
    service = await asyncio.create_subprocess_exec(sys.executable, "-c", SCRIPT, stdout=asyncio.subprocess.PIPE)
    processes = (await service.stdout.readline()).decode().split()
    assert len(processes) == 2
    assert all(is_alive(process) for process in processes)
    service.kill()
    await service.wait()
    await eventually(lambda: not any(is_alive(process) for process in processes))


def is_alive(process: str) -> bool:
    """Whoever has ended stays in the list until somebody asks for their status."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
