"""Where the running stack says how to reach it, for the commands beside `hubbub up`."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from hubbub_local import process
from hubbub_local.errors import StackError
from hubbub_local.folder import Folder, write_private


@dataclass(frozen=True, kw_only=True)
class Running:
    """A stack that is up."""

    public_url: str
    hub_url: str
    owner_dsn: str
    """The owner's database URL: for what the services themselves may not do."""
    api_dsn: str
    """The database URL of api."""
    nats_url: str
    """The bus, as api."""
    vault_key: str
    admin_users: list[str]
    """Whom the configuration names, which is how they may have a token before they first come."""
    workers: dict[str, dict[str, str]]
    """What a worker of each pool is told by its environment, wherever it runs."""

    def save(self, folder: Folder) -> None:
        me = process.find(os.getpid())
        write_private(
            folder.stack, json.dumps({"process": asdict(me) if me else None, **asdict(self)}, indent=1) + "\n"
        )


def of(root: Path) -> Running:
    """The stack that runs on this data folder. Raises StackError when there is none.

    HUBBUB_KIT names the kit of a hub that something else runs (see kit.py): then it is that one.
    """
    if made := os.environ.get("HUBBUB_KIT"):
        from hubbub_local import kit

        return kit.running(Path(made))
    folder = Folder(root.absolute())
    try:
        saved = json.loads(folder.stack.read_text())
        owner = process.Process(**saved.pop("process"))
        running = Running(**saved)
    except PermissionError:
        raise StackError(f"{folder.stack} is not yours to read: run this as the user who started the hub") from None
    except (OSError, ValueError, TypeError, AttributeError, KeyError):
        raise _not_running(folder) from None
    if not owner.is_alive():
        raise _not_running(folder)
    return running


def change(folder: Folder, now: Running) -> None:
    """What the running stack says of itself is *now* this: its secrets have changed."""
    kept = json.loads(folder.stack.read_text())
    write_private(folder.stack, json.dumps({"process": kept["process"], **asdict(now)}, indent=1) + "\n")


def environment(told: dict[str, str], nats: str = "") -> str:
    """The lines of a file with that environment. *nats*: host and port at which the worker's host finds NATS."""
    if nats:
        url = urlsplit(told["HUBBUB_NATS_URL"])
        login = url.netloc.rpartition("@")[0]
        told = {**told, "HUBBUB_NATS_URL": url._replace(netloc=f"{login}@{nats}" if login else nats).geturl()}
    return "".join(f"{name}={value}\n" for name, value in told.items())


def _not_running(folder: Folder) -> StackError:
    return StackError(
        f"no hub is running on the data folder {folder.root}: start it with `hubbub up --data {folder.root}`"
    )
