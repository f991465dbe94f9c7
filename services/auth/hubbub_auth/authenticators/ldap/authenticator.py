"""Logging in by a directory: find somebody, ask for their password, see who they are and what they are in."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog
from tornado.web import HTTPError

from hubbub.plugin import settled
from hubbub_auth.authenticators.aside import Aside
from hubbub_auth.authenticators.authenticator import Model
from hubbub_auth.authenticators.ldap.directory import Away, Door, Entry, Faulty, Session
from hubbub_auth.authenticators.ldap.options import LDAPOptions
from hubbub_auth.authenticators.ldap.spelling import (
    in_dn,
    in_filter,
    is_dn,
    naming_attribute,
    own_spelling,
    password_of,
)

log = structlog.get_logger()

AWAY = "The directory that knows passwords does not answer. Try again in a moment."
FAULTY = "The directory that knows passwords does not say what the hub needs. Ask whoever runs this hub."


class Unanswered(HTTPError):
    """No guess: nobody has looked at the password."""

    def __init__(self, status: int, sentence: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, sentence)
        self.headers = headers or {}


@dataclass(frozen=True, kw_only=True)
class Found:
    """Somebody in the directory. `name`: to log in by; `uid`: stands for them in filters."""

    name: str
    uid: str
    dn: str
    entry: Entry | None


class LDAPAuthenticator(LDAPOptions):
    """Asks a directory, in threads."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self._aside = Aside(self.executor_threads, "ldap")

    # What the hub asks ------------------------------------------------------------------

    async def authenticate(self, handler: Any, data: dict[str, str]) -> Model | None:
        typed, password = data["username"], password_of(data.get("password", ""))
        if (
            not password
            or not typed.strip()
            or not typed.isprintable()
            or not re.match(self.valid_username_regex, typed)
        ):
            return None
        return await self._ask(partial(self._log_in, typed, password))

    async def refresh_user(self, user: Any, handler: Any = None) -> bool | Model:
        """Whether they are still there, and what they are in now; if there is anybody to read it."""
        if not (self.lookup_dn or self.lookup_dn_search_user):
            return True
        kept = await user.get_auth_state() if self.enable_auth_state else None
        kept = kept if isinstance(kept, dict) else {}
        model = await self._ask(partial(self._look_again, user.name, kept.get("user_dn")))
        if model is None or not await settled(self.check_blocked_users(user.name, model)):
            return False
        if not await self._is_allowed(user.name, model):
            return False
        model["admin"] = await settled(self.is_admin(handler, model))
        if not model["auth_state"]["user_attributes"]:  # whoever looks people up may see less than they do themselves
            model["auth_state"]["user_attributes"] = kept.get("user_attributes", {})
        return model

    def check_allowed(self, username: str, authentication: Model | None = None) -> Any:
        """By name or by group."""
        return _is_in(self.allowed_groups, authentication) or super().check_allowed(username, authentication)

    def is_admin(self, handler: Any, authentication: Model) -> Any:
        if authentication["name"] in self.admin_users:
            return True
        return _is_in(self.admin_groups, authentication) if self.admin_groups else None

    async def _ask(self, question: Callable[[Door], Model | None]) -> Model | None:
        """Raises Unanswered, with the reason in the log."""
        try:
            return await self._aside.call(self.directory.ask, question)
        except Away as error:
            log.error("ldap.away", why=str(error))
            raise Unanswered(503, AWAY, {"Retry-After": "5"}) from error
        except Faulty as error:
            log.error("ldap.faulty", why=str(error))
            raise Unanswered(500, FAULTY) from error

    # In a thread: logging in ------------------------------------------------------------

    def _log_in(self, typed: str, password: bytes, door: Door) -> Model | None:
        looked_up = self._looked_up(door, typed) if self.lookup_dn else None
        if self.lookup_dn and looked_up is None:
            with door.bound(self._nobody(typed), password):
                return None  # it takes as long as for somebody whom there is
        for dn in self._candidates(typed, looked_up):
            with door.bound(dn, password) as session:
                if session is not None:
                    found = looked_up or self._itself(session, typed, dn)
                    return self._seen(session, found) if found else None
        return None

    def _candidates(self, typed: str, looked_up: Found | None) -> Iterator[str]:
        if looked_up and not self.bind_dn_template:
            yield looked_up.dn
        for template in self.bind_dn_template:
            username = looked_up.uid if looked_up else typed
            yield template.format(username=in_dn(username) if is_dn(template) else username)

    def _nobody(self, typed: str) -> str:
        return f"{self.user_attribute}={in_dn(typed)},{self.user_search_base}"

    def _looked_up(self, door: Door, typed: str) -> Found | None:
        wanted = self.lookup_dn_search_filter.format(login_attr=self.user_attribute, login=in_filter(typed))
        with self._reader(door) as session:
            entries = session.below(str(self.user_search_base), wanted, self._attributes())
        if len(entries) > 1:
            raise Faulty(f"{wanted} below {self.user_search_base} fits {len(entries)} entries; who logs in is one")
        return self._found(typed, entries[0]) if entries else None

    def _found(self, typed: str, entry: Entry) -> Found | None:
        """None, with the reason in the log, if the hub could not tell this person from others."""
        spelled = own_spelling(typed, entry.values(str(self.user_attribute)))
        uids = entry.values(self._uid_attribute())
        if spelled is None:
            return _nobody_known(entry.dn, "no value of user_attribute is what was typed")
        if len(uids) != 1:
            return _nobody_known(entry.dn, f"{self._uid_attribute()} has {len(uids)} values, and one is needed")
        return Found(name=uids[0] if self.use_lookup_dn_username else spelled, uid=uids[0], dn=entry.dn, entry=entry)

    def _itself(self, session: Session, typed: str, dn: str) -> Found | None:
        """Whoever has just bound as *dn*, as they see themselves."""
        entry = self._entry_of(session, typed, dn)
        attribute = self._uid_attribute()
        spelled = own_spelling(typed, entry.values(attribute) if entry and attribute else ())
        if spelled is None:
            return _nobody_known(dn, "their entry cannot be read, and by another spelling they would be somebody else")
        return Found(name=spelled, uid=spelled, dn=entry.dn if entry else dn, entry=entry)

    def _entry_of(self, session: Session, typed: str, dn: str) -> Entry | None:
        if is_dn(dn):
            return session.read(dn, attributes=self._attributes())
        if not (self.user_search_base and self.user_attribute):
            return None
        wanted = f"({self.user_attribute}={in_filter(typed)})"
        entries = session.below(self.user_search_base, wanted, self._attributes())
        return entries[0] if len(entries) == 1 else None

    # In a thread: who they are ----------------------------------------------------------

    def _seen(self, session: Session, found: Found) -> Model | None:
        if not self._fits(session, found):
            return None
        groups = self._groups(session, found)
        state = {
            "ldap_groups": list(groups),
            "user_attributes": self._to_be_kept(session, found),
            "user_dn": found.dn,
        }
        model: Model = {"name": found.name, "auth_state": state}
        if self.manage_groups:
            model["groups"] = sorted({name for name in groups.values() if name})
        return model

    def _fits(self, session: Session, found: Found) -> bool:
        if not self.search_filter:
            return True
        wanted = self.search_filter.format(userattr=self.user_attribute, username=in_filter(found.uid))
        entries = session.below(str(self.user_search_base), wanted)
        if len(entries) != 1:
            log.info("ldap.not_in_search_filter", dn=found.dn, entries=len(entries))
        return len(entries) == 1

    def _groups(self, session: Session, found: Found) -> dict[str, str]:
        """DN of each group that they are in -> its name in the hub; as the configuration spells it, if it does."""
        wanted = self.group_search_filter.format(userdn=in_filter(found.dn), uid=in_filter(found.uid))
        attributes, groups = [self.group_name_attribute], {}
        for dn in dict.fromkeys([*(self.allowed_groups or ()), *self.admin_groups]):
            if entry := session.read(dn, wanted, attributes):
                groups[dn] = _first(entry, self.group_name_attribute)
        if self.group_search_base and self.manage_groups:
            for entry in session.below(self.group_search_base, wanted, attributes):
                groups.setdefault(entry.dn, _first(entry, self.group_name_attribute))
        return groups

    def _to_be_kept(self, session: Session, found: Found) -> dict[str, list[str]]:
        """Read as they themselves: whoever looks people up may see less of them."""
        if not self.auth_state_attributes or not is_dn(found.dn):
            return {}
        entry = session.read(found.dn, attributes=self.auth_state_attributes)
        return entry.attributes if entry else {}

    def _attributes(self) -> list[str]:
        return sorted({name for name in (self.user_attribute, self._uid_attribute()) if name})

    def _uid_attribute(self) -> str:
        wanted = self.lookup_dn_user_dn_attribute if self.lookup_dn else None
        return wanted or self.user_attribute or naming_attribute(self.bind_dn_template)

    # In a thread: looking again ---------------------------------------------------------

    def _look_again(self, name: str, dn: str | None, door: Door) -> Model | None:
        """Of somebody who logged in a while ago; *dn*: theirs, if it is known. None: they are not there any more."""
        with self._reader(door) as session:
            people = self._by_dn(session, name, dn) if dn else self._by_name(session, name)
            if len(people) > 1:
                raise Faulty(f"{name} may be {', '.join(each.dn for each in people)}; enable_auth_state would tell")
            model = self._seen(session, people[0]) if people else None
        return model | {"name": name} if model else None

    def _by_dn(self, session: Session, name: str, dn: str) -> Sequence[Found]:
        entry = session.read(dn, attributes=self._attributes())
        return [self._again(name, entry)] if entry else []

    def _by_name(self, session: Session, name: str) -> Sequence[Found]:
        """By all names that the hub makes *name* of."""
        typed = [before for before, after in self.username_map.items() if after == name]
        typed += [name] if name not in self.username_map else []
        return [self._again(each, entry) for each in typed for entry in self._entries_of(session, each)]

    def _entries_of(self, session: Session, typed: str) -> Sequence[Entry]:
        if not self.lookup_dn:
            dns = [template.format(username=in_dn(typed)) for template in self.bind_dn_template if is_dn(template)]
            return [entry for dn in dns if (entry := session.read(dn, attributes=self._attributes()))]
        wanted = f"({self._uid_attribute()}={in_filter(typed)})"
        if not self.use_lookup_dn_username:
            wanted = self.lookup_dn_search_filter.format(login_attr=self.user_attribute, login=in_filter(typed))
        return session.below(str(self.user_search_base), wanted, self._attributes())

    def _again(self, name: str, entry: Entry) -> Found:
        uids = entry.values(self._uid_attribute())
        return Found(name=name, uid=uids[0] if len(uids) == 1 else name, dn=entry.dn, entry=entry)

    @contextmanager
    def _reader(self, door: Door) -> Iterator[Session]:
        """Whoever looks people up: `lookup_dn_search_user`, or nobody. Raises Faulty if they may not."""
        user = self.lookup_dn_search_user or None
        with door.bound(user, password_of(self.lookup_dn_search_password or "") if user else b"") as session:
            if session is None:
                raise Faulty(f"lookup_dn_search_user ({user or 'nobody'}) may not log in to the directory")
            yield session


def _is_in(groups: Sequence[str] | None, authentication: Model | None) -> bool:
    """DNs, both, as the configuration spells them."""
    theirs = ((authentication or {}).get("auth_state") or {}).get("ldap_groups", ())
    return not set(groups or ()).isdisjoint(theirs)


def _first(entry: Entry, attribute: str) -> str:
    return next(iter(entry.values(attribute)), "")


def _nobody_known(dn: str, why: str) -> Found | None:
    log.warning("ldap.unusable_entry", dn=dn, why=why)
    return None
