"""Runs a program so that it never outlives its parent: `leash.py PARENT SIGNAL IDENTITY /program args...`.

With file descriptors in the variable LEASH_SOCKETS, with commas between, it hands these on as systemd does: from 3 on,
with LISTEN_FDS and LISTEN_PID.

A tiny program of its own, run by `python -I -S`, because what it does has to be done in the child between fork and
exec, and Python code in a forked copy of a process that has threads may deadlock. The pid stays the same throughout.

IDENTITY is `same`; or, for a program that refuses to run as root, `namespace` (root seen as nobody, files stay root's)
or `nobody` (really nobody).
"""

import ctypes
import fcntl
import os
import sys

NOBODY = 65534
_CLONE_NEWUSER = 0x10000000
_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Take the identity, tie the knot, become the program."""
    parent, death_signal, identity, *program = arguments
    if identity == "namespace":
        _enter_namespace()
    elif identity == "nobody":
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    # A change of identity clears the parent-death signal, so it comes last.
    if _libc().prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() != int(parent):
        sys.exit("the parent died before the child was tied to it")
    if sockets := os.environ.pop("LEASH_SOCKETS", ""):
        _hand_on([int(each) for each in sockets.split(",")])
    # Not execvp: it imports, and Python's own files may be out of the new identity's reach.
    os.execv(program[0], program)


def _hand_on(sockets: list[int]) -> None:
    """In two steps, since one may stand where another is to be."""
    moved = [fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, 3 + len(sockets)) for each in sockets]
    for number, each in enumerate(moved, start=3):
        os.dup2(each, number, inheritable=True)
    for each in sockets:
        if each >= 3 + len(sockets):
            os.close(each)
    os.environ["LISTEN_FDS"], os.environ["LISTEN_PID"] = str(len(sockets)), str(os.getpid())


def _enter_namespace() -> None:
    """Become nobody to look at, and root to every file: no chown is needed, no folder has to be opened to others."""
    if _libc().unshare(_CLONE_NEWUSER):
        raise OSError(ctypes.get_errno(), "unshare")
    for name, line in (("setgroups", "deny"), ("uid_map", f"{NOBODY} 0 1"), ("gid_map", f"{NOBODY} 0 1")):
        descriptor = os.open(f"/proc/self/{name}", os.O_WRONLY)
        os.write(descriptor, line.encode())
        os.close(descriptor)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


if __name__ == "__main__":
    main(sys.argv[1:])
