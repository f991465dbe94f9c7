"""Asks a pool's workers for options forms, and what filled in ones come to."""

import asyncio
import time
from collections.abc import Collection

import msgspec
import nats
import structlog
from cryptography.fernet import MultiFernet

from hubbub.bus import LARGEST_PAYLOAD, Bus, BusUnavailable, Remote
from hubbub.config import Options
from hubbub.form_messages import FormAnswer, FormAnswered, FormAsk, FormAsked
from hubbub.rpc import Done
from hubbub.sections import class_names

log = structlog.get_logger()

#: Seconds until some worker has taken a question, and until one of them has answered it: it gives up after 30.
TAKEN_WITHIN = 8.0
ANSWERED_WITHIN = 35.0

#: Seconds after which another worker is asked: the first may hang.
_PATIENCE = 1.0
_PAUSE = 0.1

#: Seconds that a form is kept which is the same for everybody.
KEPT = 30.0

_LARGEST = LARGEST_PAYLOAD - 1024

#: Of our own classes, those that have a form only if the operator writes one.
_FORMLESS = ("simple", "localprocess")


class NoWorker(Exception):
    """No worker answers."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or self.__doc__)


class TooLarge(Exception):
    """What was typed, and the files with it, do not fit into a message. `limit`: bytes, about."""

    #: Two thirds: files are written in base64, which is sealed, which is written in base64.
    limit = _LARGEST * 9 // 16


class Forms:
    def __init__(self, bus: Bus, bus_key: MultiFernet, options: Options) -> None:
        self._bus = bus
        self._bus_key = bus_key
        self._options = options
        self._kept: dict[str, tuple[float, FormAnswered]] = {}

    def pool_of(self, name: str, groups: Collection[str]) -> str:
        """Whose workers are asked about a user: whatever was chosen the last time is open again."""
        return self._options.pool_of(name, groups, None)

    def are_none(self, pool: str) -> bool:
        """Whether the configuration alone tells that nobody gets a form there."""
        return formless(self._options, pool)

    async def ask(self, asked: FormAsked) -> FormAnswered:
        """Raises NoWorker or TooLarge."""
        pool = self.pool_of(asked.person.name, asked.person.groups)
        if asked.kind == "form":
            if self.are_none(pool):
                return FormAnswered()
            ends, kept = self._kept.get(pool, (0.0, FormAnswered()))
            if ends > time.monotonic():
                return kept
        answered = await self._ask(pool, asked)
        if answered.lasting and answered.refused is None:
            self._kept[pool] = (time.monotonic() + KEPT, answered)
        return answered

    async def _ask(self, pool: str, asked: FormAsked) -> FormAnswered:
        sealed = self._seal(asked)
        if len(sealed) > _LARGEST:  # files of the last start would not let new ones in
            sealed = self._seal(msgspec.structs.replace(asked, options={}))
        if len(sealed) > _LARGEST:
            raise TooLarge
        inbox = self._bus.client.new_inbox()
        try:
            answers = await self._bus.client.subscribe(inbox)
            try:
                await self._hand(pool, FormAsk(sealed=sealed, inbox=inbox))
                message = await answers.next_msg(timeout=ANSWERED_WITHIN)
            finally:
                await answers.unsubscribe()
        except (nats.errors.Error, TimeoutError, OSError) as error:
            raise NoWorker(f"No worker has answered ({type(error).__name__}).") from None
        answer = msgspec.json.decode(message.data, type=FormAnswer)
        return msgspec.json.decode(self._bus_key.decrypt(answer.sealed), type=FormAnswered)

    def _seal(self, asked: FormAsked) -> str:
        return self._bus_key.encrypt(msgspec.json.encode(asked)).decode()

    async def _hand(self, pool: str, ask: FormAsk) -> None:
        """To some worker that takes it. One may be on its way back, another one hang."""
        ends = time.monotonic() + TAKEN_WITHIN
        while (left := ends - time.monotonic()) > 0:
            try:
                done = await self._bus.ask(f"hub.form.{pool}", ask, Done, timeout=min(left, _PATIENCE))
            except (BusUnavailable, Remote) as error:
                log.info("form.not_taken", pool=pool, error=str(error))
                await asyncio.sleep(_PAUSE)
                continue
            if done.refused:
                raise NoWorker(f"The worker cannot answer: {done.refused.message}.")
            return
        raise NoWorker


def formless(options: Options, pool: str) -> bool:
    """Whether no worker of *pool* has an options form, by the configuration alone: of the class none is known."""
    kind = options.spawner_class_of(pool)
    sections = [options.traits.get(name, {}) for name in ("Spawner", *class_names(kind))]
    says = any(name in section for section in sections for name in ("options_form", "auth_state_hook"))
    return kind in _FORMLESS and not says
