"""How a command speaks to the `hubbub up` that runs on a data folder: a socket in it, a line of JSON each way.

There: `{"restart": ["api", "spawner-worker-1"]}`. Back: a line for each that was restarted, `{"name": "api-1",
"seconds": 0.0}`, and at the end `{"done": true}` or `{"error": "..."}`.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

from hubbub_local.errors import StackError
from hubbub_local.folder import Folder

_NAME = "control.sock"

#: What does it: told what to restart, it yields the name of each that was, and the seconds without it.
Restart = Callable[[Sequence[str]], AsyncIterator[tuple[str, float]]]


@asynccontextmanager
async def listening(folder: Folder, restart: Restart) -> AsyncIterator[None]:
    """Commands are heard while the block runs, one after the other."""
    turn = asyncio.Lock()

    async def attend(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            try:
                asked = json.loads(await reader.readline())
                async with turn:
                    async for name, seconds in restart([str(each) for each in asked["restart"]]):
                        await _say(writer, {"name": name, "seconds": round(seconds, 3)})
                await _say(writer, {"done": True})
            except StackError as error:
                await _say(writer, {"error": str(error)})
            except (ValueError, KeyError, TypeError):
                await _say(writer, {"error": "this hubbub up does not understand the command"})
        writer.close()

    with _path(folder) as path:
        with suppress(FileNotFoundError):
            Path(path).unlink()  # noqa: ASYNC240 - one name, of a local folder
        server = await asyncio.start_unix_server(attend, path)
    async with server:
        yield


async def ask_restart(folder: Folder, names: Sequence[str], tell: Callable[[str, float], None]) -> None:
    """Have these restarted, all if there are none; *tell* of each. Raises StackError."""
    try:
        with _path(folder) as path:
            reader, writer = await asyncio.open_unix_connection(path)
    except OSError:
        raise StackError(f"the hub on {folder.root} cannot be asked: it may be of an older release") from None
    await _say(writer, {"restart": list(names)})
    async for line in reader:
        said: dict[str, Any] = json.loads(line)
        if "error" in said:
            raise StackError(str(said["error"]))
        if "name" in said:
            tell(str(said["name"]), float(said["seconds"]))
        if "done" in said:
            writer.close()
            return
    raise StackError("the hub has ended meanwhile")


async def _say(writer: asyncio.StreamWriter, line: dict[str, Any]) -> None:
    writer.write(json.dumps(line).encode() + b"\n")
    await writer.drain()


@contextmanager
def _path(folder: Folder) -> Iterator[str]:
    """Of the socket; by a way that is short, since the address of a socket may not be as long as that of a folder."""
    run = os.open(folder.run, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{run}/{_NAME}"
    finally:
        os.close(run)
