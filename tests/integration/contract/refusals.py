"""Requests that are refused, as rows of tables, and how such a row is held against a hub."""

import re
from typing import Any, NamedTuple

from stage import filled, set_up
from targets import Answer, Target

KEYS = re.compile("^Invalid JSON keys: ")  # and then what was sent


class Refused(NamedTuple):
    """A request and its refusal.

    call: method and path; it and *body* are filled by a stage on which *stage* exists.
    answer: status and message; the message is exact where the contract quotes it, None (JSON's null), a list of words
    that the sentence has in it, `...` (any sentence), or a pattern. Or the name of a difference, whose values are such.
    """

    call: str
    body: Any
    answer: tuple[int, Any] | str
    stage: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()  # of the administrator's token that asks; none: the service that may do everything

    async def hold(self, target: Target) -> None:
        """Fails unless *target* answers so."""
        names = await set_up(target, *self.stage)
        method, path = filled(self.call, names).split(" ", 1)
        kwargs: Any = {"token": await target.token(*self.scopes)} if self.scopes else {}
        answer = await target.api(method, path, filled(self.body, names), **kwargs)
        expected = target.answers(self.answer) if isinstance(self.answer, str) else self.answer
        says(answer, *(filled(part, names) for part in expected))


def says(answer: Answer, status: int, message: Any) -> None:
    """Fails unless this is the answer; see `Refused` for messages. Below 400, *message* is the whole JSON, or `...`."""
    assert answer.status == status, answer
    if status < 400:
        assert message is ... or answer.json == message, answer
    elif message is ...:
        assert isinstance(answer.message, str) and answer.message, answer
    elif isinstance(message, list):
        assert all(word in answer.message for word in message), answer
    elif isinstance(message, re.Pattern):
        assert message.search(answer.message), answer
    else:
        assert answer.message == message, answer


def row_id(row: Any) -> str:
    """The parametrized test's name for a row."""
    return f"{row.call} {row.body}"[:70].replace("{", "").replace("}", "") if isinstance(row, Refused) else str(row)
