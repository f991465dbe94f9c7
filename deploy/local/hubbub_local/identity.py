"""As whom to run a program that refuses root, as Postgres does; see leash.py for what each identity means."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Literal

from hubbub_local import leash
from hubbub_local.errors import StackError

Identity = Literal["same", "namespace", "nobody"]


def not_root(folder: Path, program: Path) -> Identity:
    """The first identity that works here and lets `program` reach `folder`, which is its own."""
    if os.geteuid() != 0:
        return "same"
    if _works("namespace", folder, program):
        return "namespace"
    # In a container without that privilege it has to be nobody itself, who needs a way in and the files.
    folder.parent.chmod(0o711)
    give(folder, "nobody")
    if _works("nobody", folder, program):
        return "nobody"
    raise StackError(
        f"Postgres refuses to run as root, user namespaces are forbidden here, and nobody cannot enter {folder}: start"
        " hubbub as an ordinary user, name another --data, or give a Postgres of your own by --postgres"
    )


def give(path: Path, identity: Identity) -> None:
    """Let the file or folder, with all that is in it, belong to that identity."""
    if identity == "nobody":
        for each in (path, *path.rglob("*")):
            os.chown(each, leash.NOBODY, leash.NOBODY, follow_symlinks=False)


def leashed(program: list[str], *, death_signal: int, identity: Identity = "same") -> list[str]:
    """The command line that runs `program` as that identity, tied to the life of this process."""
    return [sys.executable, "-I", "-S", leash.__file__, str(os.getpid()), str(death_signal), identity, *program]


def _works(identity: Identity, folder: Path, program: Path) -> bool:
    """Whether as that identity one can run the program and look into the folder."""
    probe = ["/bin/sh", "-c", '"$1" --version && ls "$2"', "sh", str(program), str(folder)]
    command = leashed(probe, death_signal=signal.SIGTERM, identity=identity)
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
