"""An auth that runs, as it has announced itself: where it is, and what it answers."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import structlog

from hubbub.auth_messages import About, Policy

log = structlog.get_logger()

#: Paths below the hub's prefix that every auth answers, and that are auth's even while there is none.
ALWAYS = ("login", "logout", "api/oauth2/authorize", "api/oauth2/token")


@dataclass(frozen=True)
class Auth:
    """One that runs. `paths`: to the letter; `patterns`: for the whole of a path. Both are below the hub's prefix."""

    url: str
    policy: Policy
    paths: frozenset[str]
    patterns: tuple[re.Pattern[str], ...]
    remembers: bool

    @classmethod
    def of(cls, about: About) -> "Auth":
        paths, patterns = frozenset((*about.paths, *ALWAYS)), tuple(_compiled(about.patterns))
        return cls(about.url, about.policy, paths, patterns, about.remembers)

    def answers(self, path: str) -> bool:
        return path in self.paths or any(pattern.fullmatch(path) for pattern in self.patterns)


def said(about: str) -> About | None:
    try:
        return msgspec.json.decode(about, type=About)
    except msgspec.MsgspecError as error:  # it may be of another release
        log.error("auth.not_understood", error=str(error))
        return None


def _compiled(patterns: Sequence[str]) -> list[re.Pattern[str]]:
    found = []
    for pattern in patterns:
        try:
            found.append(re.compile(pattern))
        except re.error as error:
            log.error("auth.unusable_pattern", pattern=pattern[:200], error=str(error))
    return found
