"""`c.Hubbub.cull`: when a server that nobody uses, or that has run for long enough, is stopped, and why.

Pure: who asks says what is known of the server, and what time it is.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta

from hubbub.sections import LONGEST, ConfigError

Seconds: TypeAlias = Annotated[float, Meta(ge=0, le=LONGEST)]
Names: TypeAlias = frozenset[str]

#: Seconds within which a server has said by itself whether it is in use: it does so every 300.
REPORTED = 330.0


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of servers that all the lists that are given have something of: `servers` are names, "" the default one.

    What a rule does not say is as for everybody. Times are in seconds; 0: never for this reason.
    """

    users: Names | None = None
    groups: Names | None = None
    profiles: Names | None = None
    servers: Names | None = None
    idle: Seconds | None = None
    longest: Seconds | None = None
    warn: Seconds | None = None

    def is_about(self, user: str, groups: Collection[str], profile: str, server: str) -> bool:
        return (
            (self.users is None or user in self.users)
            and (self.groups is None or not self.groups.isdisjoint(groups))
            and (self.profiles is None or profile in self.profiles)
            and (self.servers is None or server in self.servers)
        )


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What counts for one server, in seconds; 0: never. `rule`: the place of the rule that says so, if one does."""

    idle: float = 0
    longest: float = 0
    warn: float = 0
    rule: int | None = None


class Cull(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`idle`: how long nobody may be there; `longest`: how long a server may run at all; `warn`: how long before that
    its owner is told. The first of `rules` that is about a server says otherwise.
    """

    idle: Seconds = 0
    longest: Seconds = 0
    warn: Seconds = 600
    rules: tuple[Rule, ...] = ()

    @property
    def is_on(self) -> bool:
        return any((self.idle, self.longest, *(rule.idle or rule.longest for rule in self.rules)))

    @property
    def asks_for_groups(self) -> bool:
        return any(rule.groups is not None for rule in self.rules)

    @property
    def asks_for_profiles(self) -> bool:
        return any(rule.profiles is not None for rule in self.rules)

    def terms(self, user: str, groups: Collection[str], profile: str, server: str) -> Terms:
        for place, rule in enumerate(self.rules):
            if rule.is_about(user, groups, profile, server):
                said = {name: getattr(rule, name) for name in ("idle", "longest", "warn")}
                usual = {"idle": self.idle, "longest": self.longest, "warn": self.warn}
                given = {name: seconds for name, seconds in said.items() if seconds is not None}
                return Terms(**{**usual, **given}, rule=place)
        return Terms(idle=self.idle, longest=self.longest, warn=self.warn)


@dataclass(frozen=True, kw_only=True)
class End:
    """When a server is stopped if nothing changes. `told_from`: from when on its owner is warned. `seconds`: what the
    rule says.
    """

    at: datetime
    why: Literal["idle", "longest"]
    seconds: float
    told_from: datetime

    @property
    def reason(self) -> str:
        """For the log, and whoever reads it: `idle for 2 h`, `has run for 12 h`."""
        return f"idle for {span(self.seconds)}" if self.why == "idle" else f"has run for {span(self.seconds)}"


def ends(terms: Terms, since: datetime, heard: datetime | None) -> tuple[End, ...]:
    """Why a server would be stopped, and when, the earliest first. *since*: when it was asked for; *heard*: when
    somebody was last there. One of which nothing was heard counts from its start.
    """
    last = max(since, heard) if heard else since
    both = (_end("idle", last, terms.idle, terms.warn), _end("longest", since, terms.longest, terms.warn))
    return tuple(sorted((end for end in both if end), key=lambda end: end.at))


def _end(why: Literal["idle", "longest"], begin: datetime, seconds: float, warn: float) -> End | None:
    if not seconds:
        return None
    at = begin + timedelta(seconds=seconds)
    # Whoever has just come is not warned, however short the time is.
    return End(at=at, why=why, seconds=seconds, told_from=at - timedelta(seconds=min(warn, seconds / 2)))


def is_known(end: End, *, told: datetime | None, hearing: datetime, now: datetime) -> bool:
    """Whether *end* is for sure. Idle is of whom those have heard nothing who would have: *told*, until when the
    proxies that lead to the server have said what they heard (null: none leads there); *hearing*, since when the house
    has listened without a break. A server that has run for long enough has, whatever is known.
    """
    if end.why == "longest":
        return True
    listened = now - hearing >= timedelta(seconds=min(end.seconds, REPORTED))
    return listened and told is not None and told >= end.at


def span(seconds: float) -> str:
    """`45 s`, `90 min`, `2 h`, `3 days`: exact if it can be, in one unit."""
    for size, unit in ((86_400, "day"), (3600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0:
            many = int(seconds // size)
            return f"{many} {unit}{'s' if unit == 'day' and many > 1 else ''}"
    if seconds >= 600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds:g} s"


def read(said: dict[str, Any]) -> Cull:
    """Raises ConfigError with a sentence that names what is wrong."""
    rules = said.get("rules", ())
    if not isinstance(rules, list | tuple):
        raise ConfigError("c.Hubbub.cull['rules']: a list of rules")
    found = tuple(_rule(f"c.Hubbub.cull['rules'][{place}]", rule) for place, rule in enumerate(rules))
    try:
        usual = msgspec.convert({key: value for key, value in said.items() if key != "rules"}, Cull)
    except msgspec.ValidationError as error:
        raise ConfigError(f"c.Hubbub.cull: {error}") from None
    return msgspec.structs.replace(usual, rules=found)


def _rule(where: str, said: Any) -> Rule:
    try:
        rule = msgspec.convert(said, Rule)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {error}") from None
    if all(getattr(rule, name) is None for name in ("idle", "longest", "warn")):
        raise ConfigError(f"{where}: it says neither idle, longest nor warn")
    if rule.users is not None:
        rule = msgspec.structs.replace(rule, users=frozenset(user.lower() for user in rule.users))
    return rule
