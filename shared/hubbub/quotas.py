"""`c.Hubbub.quotas`: how many servers somebody may have at once, and for how many hours they may run.

Pure: who asks says what was used, and what time it is.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, TypeAlias
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from hubbub.sections import LONGEST, ConfigError

Names: TypeAlias = frozenset[str]
#: A day, week (from Monday on) or month of the calendar; or the last so many seconds.
Per: TypeAlias = Literal["day", "week", "month"] | Annotated[float, Meta(ge=60, le=LONGEST)]
Servers: TypeAlias = Annotated[int, Meta(ge=0)]
Hours: TypeAlias = Annotated[float, Meta(ge=0, le=LONGEST / 3600)]

#: What has to be left for a start, unless the whole quota is hardly more.
WORTHWHILE = timedelta(minutes=1)


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`hours` are server-hours in a period (`per`). Null: that is not said; 0: any number."""

    servers: Servers | None = None
    hours: Hours | None = None
    per: Per | None = None


class Rule(Limits, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of each of those who are among `users`, or in one of `groups`."""

    users: Names = frozenset()
    groups: Names = frozenset()

    def is_about(self, user: str, groups: Collection[str]) -> bool:
        return user in self.users or not self.groups.isdisjoint(groups)


@dataclass(frozen=True, kw_only=True)
class Quota:
    """Of one person, or of all in `group` together. `servers`: at once; `hours`: in each period. 0: any number."""

    servers: int
    hours: float
    per: str | float
    group: str = ""

    @property
    def time(self) -> timedelta:
        return timedelta(hours=self.hours)

    @property
    def worthwhile(self) -> timedelta:
        """What has to be left for a start."""
        return min(WORTHWHILE, self.time / 10)

    @property
    def words(self) -> str:
        """`20 h a week`, `5 h within 2 days`"""
        return f"{self.hours:g} h {_per(self.per)}"


@dataclass(frozen=True, kw_only=True)
class Period:
    """`until`: when the next one begins; null if it moves along with the time."""

    since: datetime
    until: datetime | None


class Quotas(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What counts for each person: the first of `rules` that is about them, and what it does not say is as for all.

    `together`: by group, for those in it all together, besides. `zone`: whose days they are.
    """

    servers: Servers = 0
    hours: Hours = 0
    per: Per = "month"
    zone: str = "UTC"
    rules: tuple[Rule, ...] = ()
    together: dict[str, Limits] = {}

    @property
    def is_on(self) -> bool:
        return self.counts_servers or self.counts_hours

    @property
    def counts_servers(self) -> bool:
        return any((self.servers, *(each.servers for each in self._all)))

    @property
    def counts_hours(self) -> bool:
        return any((self.hours, *(each.hours for each in self._all)))

    @property
    def _all(self) -> tuple[Limits, ...]:
        return (*self.rules, *self.together.values())

    def own(self, user: str, groups: Collection[str]) -> Quota:
        """Of that person alone."""
        rule = next((rule for rule in self.rules if rule.is_about(user, groups)), Rule())
        return self._quota(rule, Limits(servers=self.servers, hours=self.hours, per=self.per))

    def of(self, user: str, groups: Collection[str]) -> list[Quota]:
        """Their own, and those that they have together with others; without those that limit nothing."""
        shared = [self.shared(group) for group in self.together if group in groups]
        return [quota for quota in (self.own(user, groups), *shared) if quota.servers or quota.hours]

    def shared(self, group: str) -> Quota:
        return self._quota(self.together[group], Limits(), group=group)

    def _quota(self, said: Limits, usual: Limits, group: str = "") -> Quota:
        servers, hours = (
            mine if mine is not None else theirs or 0
            for mine, theirs in ((said.servers, usual.servers), (said.hours, usual.hours))
        )
        return Quota(servers=int(servers), hours=hours, per=said.per or usual.per or self.per, group=group)

    def period(self, quota: Quota, now: datetime) -> Period:
        """The one of *quota* that *now* is in."""
        if not isinstance(quota.per, str):
            return Period(since=now - timedelta(seconds=quota.per), until=None)
        midnight = now.astimezone(ZoneInfo(self.zone)).replace(hour=0, minute=0, second=0, microsecond=0)
        match quota.per:
            case "day":
                since, until = midnight, midnight + timedelta(days=1)
            case "week":
                since = midnight - timedelta(days=midnight.weekday())
                until = since + timedelta(days=7)
            case _:
                since = midnight.replace(day=1)
                until = (since + timedelta(days=32)).replace(day=1)
        # Of a zone's own clock: so a day may have 23 hours.
        return Period(since=since.astimezone(now.tzinfo), until=until.astimezone(now.tzinfo))


def ends_at(quota: Quota, period: Period, used: timedelta, running: int, now: datetime) -> datetime | None:
    """When the hours of *quota* are used up if as many servers go on *running* as now; null: not in this period. In a
    period that moves it may be later, since what has grown too old does not count any more.
    """
    if not quota.hours or not running:
        return None
    at = now + max(timedelta(), quota.time - used) / running
    return None if period.until is not None and at > period.until else at


def free_at(
    quota: Quota, period: Period, parts: Collection[tuple[datetime, datetime]], now: datetime
) -> datetime | None:
    """When there is enough of *quota* for a start again if nothing runs: *parts* are from when until when what did has
    run in *period*.
    """
    if period.until is not None:
        return period.until
    assert not isinstance(quota.per, str)
    allowed, length = quota.time - quota.worthwhile, timedelta(seconds=quota.per)
    used = timedelta()
    # From the newest back: what is older than where it comes to too much has to grow too old.
    edges = sorted([(end, 1) for _, end in parts] + [(begin, -1) for begin, _ in parts], reverse=True)
    last, at_once = now, 0
    for edge, step in edges:
        more = (last - edge) * at_once
        if used + more > allowed:
            return max(now, last - (allowed - used) / at_once + length)
        used, last, at_once = used + more, edge, at_once + step
    return now


def _per(per: str | float) -> str:
    if isinstance(per, str):
        return f"a {per}"
    for size, unit in ((86_400, "days"), (3600, "h")):
        if per >= size and per % size == 0:
            number = int(per // size)
            return "within a day" if (number, unit) == (1, "days") else f"within {number} {unit}"
    return f"within {per / 60:g} min"


def read(said: dict[str, Any]) -> Quotas:
    """Raises ConfigError with a sentence that names what is wrong."""
    rules, together = said.get("rules", ()), said.get("together", {})
    if not isinstance(rules, list | tuple):
        raise ConfigError("c.Hubbub.quotas['rules']: a list of rules")
    if not isinstance(together, dict):
        raise ConfigError("c.Hubbub.quotas['together']: limits by the name of a group")
    found = tuple(_rule(f"c.Hubbub.quotas['rules'][{place}]", rule) for place, rule in enumerate(rules))
    shared = {name: _limits(f"c.Hubbub.quotas['together'][{name!r}]", each, Limits) for name, each in together.items()}
    usual = {key: value for key, value in said.items() if key not in ("rules", "together")}
    general: Quotas = _limits("c.Hubbub.quotas", usual, Quotas)
    quotas = msgspec.structs.replace(general, rules=found, together=shared)
    try:
        ZoneInfo(quotas.zone)
    except (ValueError, OSError, KeyError):  # not found is a KeyError
        raise ConfigError(f"c.Hubbub.quotas['zone']: there is no time zone {quotas.zone!r} here") from None
    return quotas


def _rule(where: str, said: Any) -> Rule:
    rule: Rule = _limits(where, said, Rule)
    if not rule.users and not rule.groups:
        raise ConfigError(f"{where}: it says neither users nor groups")
    return msgspec.structs.replace(rule, users=frozenset(user.lower() for user in rule.users))


def _limits(where: str, said: Any, shape: Any) -> Any:
    try:
        found = msgspec.convert(said, shape)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {error}") from None
    if shape is not Quotas and found.servers is None and found.hours is None:
        raise ConfigError(f"{where}: it says neither servers nor hours")
    return found
