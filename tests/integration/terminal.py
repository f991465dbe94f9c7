"""An operator at a terminal of the hub's machine: commands, and what they print."""

import asyncio
import io
import json
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any
from unittest import mock

from hubbub_local import cli
from stack import CONTAINERS, HUBBUB, Hub

#: Seconds for a command.
PATIENCE = 60


@dataclass(frozen=True)
class Said:
    """What a command has printed, and how it ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.status == 0, self
        return json.loads(self.out)

    @property
    def records(self) -> list[Any]:
        """One a line."""
        return [json.loads(line) for line in self.out.splitlines()]


class Terminal:
    """*house*'s operator at work on its machine."""

    def __init__(self, house: Hub) -> None:
        self.house = house

    async def __call__(self, *arguments: str, here: bool = True, **environ: str) -> Said:
        """In this process, which spares the time that a new one takes to begin."""
        async with asyncio.timeout(PATIENCE):
            if CONTAINERS and here:
                return Said(*await asyncio.to_thread(self.house.say, *arguments, **environ))  # type: ignore[attr-defined]
            return await asyncio.to_thread(self._say, self._words(arguments, here=here), environ)

    def _say(self, words: Sequence[str], environ: dict[str, str]) -> Said:
        out, err = io.StringIO(), io.StringIO()
        with mock.patch.dict(os.environ, clean(environ), clear=True), redirect_stdout(out), redirect_stderr(err):
            try:
                status = cli.main(words)
            except SystemExit as ending:  # by argparse
                status = int(ending.code or 0)
        return Said(status, out.getvalue(), err.getvalue())

    def _words(self, arguments: Sequence[str], *, here: bool) -> list[str]:
        return [*arguments, *(("--data", str(self.house.data)) if here else ())]

    @asynccontextmanager
    async def running(self, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """As a process of its own."""
        process = await asyncio.create_subprocess_exec(
            str(HUBBUB),
            *self._words(arguments, here=True),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=clean({}),
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
                await process.communicate()


def clean(environ: dict[str, str]) -> dict[str, str]:
    """Nothing in the environment of the tests leads to another hub."""
    foreign = ("HUBBUB_URL", "HUBBUB_TOKEN", "JUPYTERHUB_API_URL", "JUPYTERHUB_API_TOKEN")
    return {**{name: value for name, value in os.environ.items() if name not in foreign}, **environ}
