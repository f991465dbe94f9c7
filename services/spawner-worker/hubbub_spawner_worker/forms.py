"""Answers `hub.form.<pool>`: the options form of a server, and the options that a filled in one comes to."""

import asyncio
from typing import Any, Protocol

import msgspec
import structlog
from cryptography.fernet import InvalidToken, MultiFernet

from hubbub.as_in_tornado import files_of
from hubbub.bus import LARGEST_PAYLOAD, Bus
from hubbub.form_messages import FormAnswer, FormAnswered, FormAsk, FormAsked, FormRefusal
from hubbub.rpc import Done, Refusal
from hubbub_spawner_worker.refusals import is_meant, refusal_of
from hubbub_spawner_worker.tagged import tagged

log = structlog.get_logger()

#: Seconds that the operator's code may take for an answer.
PATIENCE = 30.0

#: Room is left for the message around it.
_LARGEST = LARGEST_PAYLOAD - 1024
_OURS = ("jupyterhub.spawner", "hubbub_spawner_worker.")


class FormSpawner(Protocol):
    """A spawner that starts nothing, called where operators' code runs. Each raises what that raises."""

    @property
    def spawner(self) -> Any: ...

    async def get_options_form(self) -> Any: ...

    async def run_options_from_form(self, form: dict[str, list[Any]]) -> Any: ...

    async def options_from_query(self, query: dict[str, list[str]]) -> Any: ...


class Makes(Protocol):
    async def form_spawner(self, asked: FormAsked) -> FormSpawner:
        """One of the person in *asked*, with `handler`, auth state and the options of the last start."""
        ...


class Forms:
    """*makes* is asked for a new spawner each time."""

    def __init__(self, bus: Bus, makes: Makes, sealer: MultiFernet, *, pool: str, patience: float = PATIENCE) -> None:
        self._bus = bus
        self._makes = makes
        self._sealer = sealer
        self._pool = pool
        self._patience = patience
        self._tasks: set[asyncio.Task[None]] = set()

    async def listen(self) -> None:
        """From now on, in turn with the other workers of the pool."""
        await self._bus.answer(f"hub.form.{self._pool}", self._hear, queue=self._pool)

    async def _hear(self, _: str, data: bytes) -> Done:
        """Taken at once: how long the operator's code needs says nothing about whether there is a worker."""
        ask = msgspec.json.decode(data, type=FormAsk)
        try:
            asked = msgspec.json.decode(self._sealer.decrypt(ask.sealed), type=FormAsked)
        except InvalidToken:
            return Done(refused=Refusal(kind="Invalid", message="it has another HUBBUB_BUS_KEY than the hub"))
        task = asyncio.create_task(self._send(ask.inbox, asked))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return Done()

    async def _send(self, inbox: str, asked: FormAsked) -> None:
        answered = await self.answer(asked)
        sealed = self._seal(answered)
        if len(sealed) > _LARGEST:
            what = "form" if answered.html else "options"
            large = FormRefusal(status=413, message=f"The {what} of this server may have {_LARGEST} bytes, sealed")
            sealed = self._seal(FormAnswered(refused=large))
        await self._bus.signal(inbox, FormAnswer(sealed=sealed))

    def _seal(self, answered: FormAnswered) -> str:
        return self._sealer.encrypt(msgspec.json.encode(answered)).decode()

    async def answer(self, asked: FormAsked) -> FormAnswered:
        """Never raises: whatever goes wrong in the operator's code is a refusal in its words."""
        limit = asyncio.timeout(self._patience)
        try:
            async with limit:
                return await self._answer(asked)
        except Exception as error:
            if limit.expired():
                message = f"The options of this server were not worked out within {self._patience:g} seconds"
                return FormAnswered(refused=FormRefusal(status=504, message=message))
            _note(error, asked)
            return FormAnswered(refused=refusal_of(error, 500))

    async def _answer(self, asked: FormAsked) -> FormAnswered:
        made = await self._makes.form_spawner(asked)
        if asked.kind == "form":
            return await _form(made)
        try:
            return FormAnswered(options=await _options(made, asked))
        except Exception as error:
            _note(error, asked)
            return msgspec.structs.replace(await _form(made), refused=refusal_of(error, 400))


async def _form(made: FormSpawner) -> FormAnswered:
    html = str(await made.get_options_form() or "")
    return FormAnswered(html=html, lasting=_is_lasting(made.spawner, html))


async def _options(made: FormSpawner, asked: FormAsked) -> dict[str, Any] | None:
    """None stands for those of the last start, as it does in JupyterHub."""
    if asked.kind == "query":
        options = await made.options_from_query(dict(asked.fields))
    else:
        files = {f"{name}_file": sent for name, sent in files_of(asked.files).items()}
        options = await made.run_options_from_form({**asked.fields, **files})
    if options is not None and not isinstance(options, dict):
        raise TypeError(f"the options of a server are a dict, not a {type(options).__name__}")
    return None if options is None else tagged(options)


def _is_lasting(spawner: Any, html: str) -> bool:
    """Whether it is the operator's text itself, which nothing can make another: no code of theirs has a say in it."""
    kind = type(spawner)
    said = [spawner.config.get(each.__name__, {}) for each in kind.__mro__]
    untouched = str(kind.get_options_form.__module__).startswith(_OURS)
    hooked = any("auth_state_hook" in section for section in said)
    return bool(html) and untouched and not hooked and html in [section.get("options_form") for section in said]


def _note(error: Exception, asked: FormAsked) -> None:
    """What was typed is not for the log, and what was raised on purpose may repeat it. A mistake has to be found."""
    note = log.info if is_meant(error) else log.exception
    note("form.refused", kind=asked.kind, user=asked.person.id, error=type(error).__name__)
