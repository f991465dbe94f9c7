"""Lets in whom the authenticator has vouched for: one commit makes them, what they belong to and their session.

So a login that is refused, or dies on the way, changes nothing.
"""

from typing import Any
from uuid import uuid4

import asyncpg
import msgspec
import structlog

from hubbub import declared, sessions
from hubbub.config import ConfigError, Options
from hubbub.domain.message import Invalid, Json, Rejected
from hubbub.domain.names import check_user_name
from hubbub.domain.user import CreateUser, SetAdmin, User
from hubbub.eventlog import Context
from hubbub.handle import Committer
from hubbub.roles import Roles
from hubbub.transaction import Transaction
from hubbub.vault import Fetches, Vault
from hubbub.views import SESSIONS, USERS
from hubbub_auth import belongings, managed_roles
from hubbub_auth.authenticators.authenticator import Model
from hubbub_auth.hosted import Hosted
from hubbub_auth.person import Person, url_of
from hubbub_auth.sessions import Login, open_in

log = structlog.get_logger()

#: A name can change hands while somebody logs in by it, but not that often.
TRIES = 5
#: Bytes of JSON.
LARGEST_STATE = 256 * 1024

_JSON = msgspec.json.Decoder()


class BadModel(Exception):
    """The authenticator says something of a person that cannot be kept; the sentence is for the operator."""


class LooksAlike(Rejected):
    """Somebody is about to be made whose name looks the same as that of somebody else."""


class NoLonger(Rejected):
    """What the login rested on has changed a moment ago."""


class _ChangedHands(Rejected):
    """The name belongs to somebody else than a moment ago."""


class Admission:
    def __init__(
        self,
        pool: "asyncpg.Pool[asyncpg.Record]",
        committer: Committer,
        vault: Vault,
        hosted: Hosted,
        options: Options,
    ) -> None:
        self._pool = pool
        self._committer = committer
        self._vault = vault
        self._hosted = hosted
        self._options = options
        self._roles = Roles(options)

    async def settle_roles(self) -> None:
        """When the hub starts: the roles that logins will give, as the authenticator foresees them.

        Raises ConfigError where the configuration gives roles, or has groups, that logins are to bring.
        """
        declared.check_managed(self._options.hub, managed=bool(self._hosted.wants("manage_groups")))
        if not self._hosted.wants("manage_roles"):
            return
        given = [role["name"] for role in self._options.hub.load_roles if role.get("users") or role.get("groups")]
        if given:
            raise ConfigError(
                f"{self._hosted}.manage_roles is on: c.JupyterHub.load_roles cannot give roles to users or groups, "
                f"as it does with {', '.join(given)}"
            )
        try:
            roles = managed_roles.check(await self._hosted.managed_roles(), self._roles)
        except Exception as error:  # it may be the operator's own
            raise ConfigError(f"{self._hosted}.load_managed_roles: {type(error).__name__}: {error}") from error
        reset = bool(self._hosted.wants("reset_managed_roles_on_startup"))
        await managed_roles.settle_declared(self._committer, roles, self._roles, reset=reset)

    # People -----------------------------------------------------------------------------

    async def person(self, name: str) -> Person:
        """Whoever has that name, or will have it."""
        row = await self._pool.fetchrow(_PERSON, name)
        if row is None:
            return Person(name=name, url=url_of(self._options, name), states=self)
        return Person(
            name=name,
            user=row["id"],
            number=row["number"],
            admin=row["admin"],
            groups=tuple(row["groups"]),
            has_state=row["has_state"],
            url=url_of(self._options, name),
            states=self,
        )

    async def load(self, user: str) -> Any:
        """The auth state that is kept of *user*, None if there is none."""
        sealed = await self._pool.fetchval("select value from vault where key = $1", f"auth_state:{user}")
        if sealed is None:
            return None
        await self._vault.load(self._pool, [user])
        opened = self._vault.open_bytes(user, sealed)
        return None if opened is None else _JSON.decode(opened)

    async def save(self, user: str, state: Any) -> None:
        data = _encoded(state, "an auth state") if state is not None else None

        async def body(tx: Transaction) -> None:
            await _keep(tx, f"auth_state:{user}", user, data)

        await self._committer.submit(body, Context.of(f"user:{user}"))

    # Logging in -------------------------------------------------------------------------

    async def log_in(self, model: Model, *, address: str, agent: str, instead_of: str = "") -> Login:
        """Open a session for whoever *model* is about, who is made if need be.

        *instead_of*: the session that the same browser had before, which ends. Raises `BadModel`, `LooksAlike`,
        `NoLonger`, and what `add_user` of the authenticator raises.
        """
        facts = await self._facts(model)
        for _ in range(TRIES):
            person = await self.person(model["name"])
            if not person.user:
                await _check_new(self._pool, person.name)
                await self._hosted.add(person)
            kept = await self._kept(person, facts)
            login = Login(person.user or uuid4().hex)

            async def body(tx: Transaction, person: Person = person, login: Login = login, kept: Json = kept) -> None:
                await _check_still(tx, person)
                if not await self._hosted.confirmed(tx, facts):
                    raise NoLonger
                if instead_of:
                    await sessions.close(tx, instead_of, reason="another login", address=address)
                if not person.user:
                    await _check_new(tx, person.name)
                    tx.welcome(login.user)
                    create = CreateUser(user=login.user, name=person.name, admin=bool(facts.get("admin")))
                    await tx.act(USERS, login.user, create)
                await self._settle(tx, login.user, facts, kept)
                await open_in(tx, login, address=address, agent=agent, seconds=self._options.cookie_max_age)

            try:
                reads = [(USERS, login.user), (SESSIONS, login.session)]
                await self._committer.submit(body, Context.of(f"user:{login.user}"), reads)
            except _ChangedHands:
                continue
            return login
        raise _ChangedHands

    async def refreshed(self, person: Person, model: Model) -> None:
        """What the authenticator says of somebody who is logged in already. What *model* does not name stays."""
        facts = await self._facts(model | {"name": person.name}, refreshing=True)
        kept = await self._kept(person, facts) if "auth_state" in facts else {}

        async def body(tx: Transaction) -> None:
            await _check_still(tx, person)
            await self._settle(tx, person.user, facts, kept)

        await self._committer.submit(body, Context.of(f"user:{person.user}"), [(USERS, person.user)])

    async def _facts(self, model: Model, *, refreshing: bool = False) -> Model:
        """*model*, checked: nothing of it is believed that cannot be meant."""
        facts = dict(model)
        if self._hosted.wants("manage_groups") and "groups" not in facts and not refreshing:
            raise BadModel(
                f"{self._hosted}.manage_groups is on, but a login says nothing of groups; does it know them?"
            )
        belongings.check(facts, self._hosted, self._roles)
        return facts

    async def _kept(self, person: Person, facts: Model) -> Json:
        """Vault keys and what is to be kept under them, as bytes; None: no longer."""
        kept: Json = {}
        if self._hosted.wants("enable_auth_state"):
            before = await self.load(person.user) if person.user and self._reconciles() else None
            state = await self._hosted.reconciled(facts, before)
            kept["auth_state"] = None if state is None else _encoded(state, "an auth state")
        elif person.user and person.has_state:
            kept["auth_state"] = None
        if (info := facts.get("user_info")) is not None:
            kept["user_info"] = _encoded(info, "user_info")
        return kept

    def _reconciles(self) -> bool:
        return self._hosted.wants("reconcile_auth_state_hook") is not None

    async def _settle(self, tx: Transaction, user: str, facts: Model, kept: Json) -> None:
        if facts.get("admin") is not None:
            await tx.act(USERS, user, SetAdmin(admin=bool(facts["admin"])))
        await belongings.settle(tx, user, facts, self._roles)
        for name, data in kept.items():
            await _keep(tx, f"{name}:{user}", user, data)
        if self._hosted.policy.refreshes:
            tx.later(_VOUCHED, user)


async def _check_still(tx: Transaction, person: Person) -> None:
    """Under the lock: the name still belongs to whom it did, or to nobody."""
    if person.user:
        # Read for the whole batch at once; a query would send what others have decided so far, one by one.
        state = await tx.state(USERS, person.user)
        if not isinstance(state, User) or state.name != person.name:
            raise _ChangedHands
    elif await tx.fetch("select 1 from users where name = $1", person.name):
        raise _ChangedHands


async def _check_new(source: Fetches, name: str) -> None:
    """Whether a login may make somebody of that name. What it looks like is for `look` to say (schema 0004)."""
    try:
        check_user_name(name)
    except Invalid as invalid:
        raise BadModel(str(invalid)) from None
    if await source.fetch("select 1 from users where look(name) = look($1) and name <> $1", name):
        raise LooksAlike


async def _keep(tx: Transaction, key: str, user: str, data: bytes | None) -> None:
    if data is None:
        tx.later("delete from vault where key = $1", key)
    else:
        await tx.know(user)
        tx.remember(key, user, data)


def _encoded(value: Any, what: str) -> bytes:
    try:
        data = msgspec.json.encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise BadModel(f"{what} has to be JSON: {error}") from None
    if len(data) > LARGEST_STATE:
        raise BadModel(f"{what} of {len(data)} bytes, which are too many: {LARGEST_STATE} at most")
    return data


_PERSON = """
    select u.id, u.number, u.admin, array(
        select g.name from members m join groups g on g.id = m.group_id where m.user_id = u.id order by g.number
    ) as groups, exists (select from vault where key = 'auth_state:' || u.id) as has_state
    from users u where u.name = $1
"""
_VOUCHED = """
    insert into vouched (user_id, at) values ($1, clock_timestamp())
    on conflict (user_id) do update set at = excluded.at
"""
