"""Brings a server's certificates to the UNIX user that it runs as."""

import asyncio
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from hubbub_spawner_worker.gate import Account, CannotRun

# Each file is made anew: what stands there may be a link to somewhere else.
_PUT = """
set -e
umask 077
mkdir -p -- "$1"
chmod 700 -- "$1"
cd -- "$1"
put() { rm -f -- "$1"; printf %s "$2" >"$1"; }
put "$2" "$KEY"
put "$3" "$CERT"
put "$4" "$CA"
"""
_PATIENCE = 30.0


async def hand_over(paths: Mapping[str, str], folder: Path, account: Account | None) -> dict[str, str]:
    """Copies of `keyfile`, `certfile` and `cafile` in *folder*: theirs alone. Raises CannotRun.

    *account* writes them, null: we. A folder in somebody's home is theirs, links and all: whoever writes there
    as root writes where they please.
    """
    return await asyncio.to_thread(_hand_over, paths, folder, account)


def _hand_over(paths: Mapping[str, str], folder: Path, account: Account | None) -> dict[str, str]:
    files = {kind: Path(paths[kind]) for kind in ("keyfile", "certfile", "cafile")}
    texts = dict(zip(("KEY", "CERT", "CA"), (path.read_text() for path in files.values()), strict=True))
    become = {}
    if account is not None:
        become = {"user": account.uid, "group": account.gid, "extra_groups": list(account.groups)}
    try:
        subprocess.run(
            ["/bin/sh", "-c", _PUT, "sh", str(folder), *(path.name for path in files.values())],
            env={"PATH": os.defpath, **texts},
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PATIENCE,
            check=True,
            **become,  # type: ignore[call-overload]  # the stubs cannot see into it
        )
    except subprocess.CalledProcessError as error:
        told = error.stderr.decode(errors="replace").strip()
        raise CannotRun(f"the server's certificates cannot be put into {folder}: {told}") from None
    except subprocess.TimeoutExpired:
        raise CannotRun(f"the server's certificates were not in {folder} within {_PATIENCE:g} seconds") from None
    return {kind: str(folder / path.name) for kind, path in files.items()}
