"""People and their passwords are the hub's own: no system accounts, no provider elsewhere.

What it needs of the hub is imported when it settles in: the hub imports this module to find out about authenticators.
"""

import asyncio
import re
from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, Any

from aiohttp import web
from traitlets import Bool, Float, Integer, TraitError, Unicode, default, validate

from hubbub.auth_messages import Page
from hubbub.domain.account import account_name
from hubbub.floor import at_home
from hubbub.views import ACCOUNTS
from hubbub_auth.authenticators.authenticator import Authenticator, Model
from hubbub_auth.authenticators.passwords import rules
from hubbub_auth.authenticators.passwords.accounts import Accounts, Found
from hubbub_auth.authenticators.passwords.hashing import Cost, Hashing, Overloaded

if TYPE_CHECKING:
    from hubbub.transaction import Transaction


class PasswordAuthenticator(Authenticator):
    """A table of accounts, each with a salted Argon2id hash. Who has one may log in, if nobody is named as allowed."""

    enable_signup = Bool(False, help="Have a page on which anybody can ask for an account.").tag(config=True)
    require_approval = Bool(
        True, help="Accounts that were signed up for wait until an administrator approves of them."
    ).tag(config=True)
    signup_pattern = Unicode(
        "[a-z0-9](?:[a-z0-9._@+-]*[a-z0-9])?",
        help="A regular expression that is all of a name which somebody may sign up by. Others need an administrator.",
    ).tag(config=True)
    signups_per_hour = Integer(60, min=1, help="From one address.").tag(config=True)
    minimum_password_length = Integer(8, min=8, max=128, help="Characters.").tag(config=True)
    link_hours = Float(24, min=0.1, help="How long a link is good by which a password can be chosen.").tag(config=True)

    time_cost = Integer(2, min=1, help="Argon2id: how many times the memory is gone through.").tag(config=True)
    memory_cost = Integer(19_456, min=7168, help="Argon2id: how much memory it takes; KiB.").tag(config=True)
    parallelism = Integer(1, min=1, max=64, help="Argon2id: lanes.").tag(config=True)
    hash_processes = Integer(2, min=1, help="How many passwords are looked at at once.").tag(config=True)
    hash_queue = Integer(16, min=0, help="How many more may wait; others are asked to come back (429).").tag(
        config=True
    )

    @default("any_allow_config")
    def _is_anybody_allowed(self) -> bool:
        return True

    @validate("signup_pattern")
    def _check_pattern(self, proposal: Any) -> str:
        try:
            re.compile(proposal["value"])
        except re.error as error:
            raise TraitError(f"signup_pattern is no regular expression: {error}") from None
        return str(proposal["value"])

    # Where it lives ---------------------------------------------------------------------

    def settle_in(self, app: web.Application) -> None:
        from hubbub_auth.authenticators.passwords.parts import PASSWORDS
        from hubbub_auth.keys import COMMITTER, POOL, VAULT

        self._home = asyncio.get_running_loop()
        self.accounts = Accounts(app[POOL], app[COMMITTER], app[VAULT])
        cost = Cost(time=self.time_cost, memory=self.memory_cost, lanes=self.parallelism)
        self.hashing = Hashing(cost, processes=self.hash_processes, queue=self.hash_queue)
        self._decoy = cost.decoy()
        app[PASSWORDS] = self

        async def begin(_: web.Application) -> None:
            await self.hashing.begin()

        async def end(_: web.Application) -> None:
            self.hashing.close()

        app.on_startup.append(begin)
        app.on_cleanup.append(end)

    def routes(self, prefix: str) -> Sequence[web.RouteDef]:
        from hubbub_auth.authenticators.passwords import administration, own, signup

        pages = [
            web.get(f"{prefix}password", own.show),
            web.post(f"{prefix}password", own.submit),
            web.get(f"{prefix}accounts", administration.show),
            web.post(f"{prefix}accounts", administration.submit),
        ]
        if self.enable_signup:
            pages += [web.get(f"{prefix}signup", signup.show), web.post(f"{prefix}signup", signup.submit)]
        return pages

    def links(self, prefix: str) -> Sequence[tuple[str, str]]:
        return [("Sign up", f"{prefix}signup")] if self.enable_signup else []

    def pages(self, prefix: str) -> Sequence[Page]:
        return [
            Page(title="Your password", url=f"{prefix}password"),
            Page(title="Accounts", url=f"{prefix}accounts", scope="admin:users"),
        ]

    # Names ------------------------------------------------------------------------------

    def normalize_username(self, username: str) -> str:
        name = account_name(username)
        return str(self.username_map.get(name, name))

    def may_sign_up(self, name: str) -> bool:
        return bool(self.validate_username(name) and re.fullmatch(self.signup_pattern, name))

    def must_wait(self, name: str) -> bool:
        """Whom the configuration names is somebody; that it is they who sign up has to be looked at."""
        named = (*self.admin_users, *self.allowed_users, *self.blocked_users, *self.username_map.values())
        return self.require_approval or name in {account_name(str(each)) for each in named}

    # Logging in -------------------------------------------------------------------------

    def check_allowed(self, username: str, authentication: Model | None = None) -> bool | Awaitable[bool]:
        """An account is enough, since somebody made or approved of it; unless the operator names who is allowed."""
        if self.allowed_users or self.allow_existing_users:
            return super().check_allowed(username, authentication)
        return True

    async def authenticate(self, handler: Any, data: dict[str, str]) -> Model | None:
        name, password = self.normalize_username(data["username"]), data.get("password", "")
        found = await at_home(self._home, self.check(name, password))
        return {"name": data["username"], "account": (found.id, found.position)} if found else None

    async def confirm(self, tx: "Transaction", model: Model) -> bool:
        """Whoever came in by a password does not get in if it was changed meanwhile, or the account was removed."""
        id, position = model.get("account") or ("", 0)
        return not id or (await tx.row(ACCOUNTS, id)).position == position

    async def check(self, name: str, password: str) -> Found | None:
        """The account *name* if *password* is right. Whatever is wrong, it takes one verification.

        On the process's own loop. Raises `Overloaded`.
        """
        found = await self.accounts.find(name) if self.validate_username(name) else None
        if len(password) > rules.LONGEST:
            found, password = None, ""
        good = found if found and found.approved and found.encoded else None
        is_right = await self.hashing.verify(good.encoded if good else self._decoy, rules.encoded(password))
        if not is_right or good is None:
            return None
        await self._renew(good, password)
        return good

    async def _renew(self, found: Found, password: str) -> None:
        """What was hashed at another cost is hashed anew, now that the password is known."""
        if self.hashing.cost.is_of(found.encoded):
            return
        try:
            await self.accounts.renew(found, await self.hashing.hash(rules.encoded(password)))
        except Overloaded:
            return  # the next login does it
        self.log.info("The password of an account was hashed anew, at the configured cost")

    async def delete_user(self, user: Any) -> None:
        await at_home(self._home, self._delete(user.name))

    async def _delete(self, name: str) -> None:
        found = await self.accounts.find(name)
        if found is not None:
            await self.accounts.remove(found.id, "auth", "user deleted")
