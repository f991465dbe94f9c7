"""Argon2id, as processes of its own do it: this module is all that they import."""

import os
import signal
import threading
from multiprocessing import parent_process

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

#: Added to their niceness: whatever else the hub does comes first.
NICE = 10


def begin() -> None:
    """In a new process, before any work."""
    os.nice(NICE)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the service, which ends its processes
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Nobody else would tell it of a parent that was killed: it holds both ends of its own queue."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(0)


def hashed(time_cost: int, memory_cost: int, parallelism: int, password: bytes) -> str:
    """A new hash with a salt of its own, in the usual notation. *memory_cost*: KiB."""
    return PasswordHasher(time_cost=time_cost, memory_cost=memory_cost, parallelism=parallelism).hash(password)


def verify(encoded: str, password: bytes) -> bool:
    """Whether *password* is what *encoded* was made of. Parameters and salt are those of *encoded*."""
    try:
        return PasswordHasher().verify(encoded, password)
    except (VerificationError, InvalidHashError):
        return False


def ready() -> None:
    """Nothing: whoever gets an answer knows that a process is there."""
