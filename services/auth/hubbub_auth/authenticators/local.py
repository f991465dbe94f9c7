"""People of the hub who are users of its host: looked up there, and made there if that is wished for."""

import grp
import os
import pwd
import re
import subprocess
from collections.abc import Callable, Iterable
from shutil import which
from typing import Any

import structlog
from traitlets import Bool, Dict, List, Set, Unicode, Union, default, observe, validate

from hubbub.plugin import settled
from hubbub_auth.authenticators.aside import Aside
from hubbub_auth.authenticators.authenticator import Authenticator, Model

log = structlog.get_logger()

#: Seconds for the command that makes a user.
PATIENCE = 50.0
_LOOKUPS = 4

#: Names that a command line cannot take for anything else, nor `chown` for a number, nor a path for a step up.
_CREATABLE = re.compile(r"(?!\d+$)[A-Za-z0-9_][A-Za-z0-9_.@-]{0,31}", re.ASCII)


class LocalAuthenticator(Authenticator):
    """Subclass it and write `authenticate`. Whoever is new in the hub has to be a user of the host, or becomes one."""

    create_system_users = Bool(False, help="Make users of the host of those who are new in the hub.").tag(config=True)
    add_user_cmd: Any = Union(
        [List(Unicode()), Unicode()],
        help="The command for that, as a list of words. USERNAME in them is the name, which is the last word, too.",
    ).tag(config=True)
    uids = Dict(help="Name -> the number that the user is made with.").tag(config=True)
    allowed_groups = Set(help="Who is in one of these groups of the host may log in.").tag(config=True)
    group_whitelist = Set(help="The former name of `allowed_groups`.").tag(config=True)

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self._lookups = Aside(_LOOKUPS, "lookup")

    @default("add_user_cmd")
    def _usual_command(self) -> list[str]:
        if which("pw"):  # BSD
            return ["pw", "useradd", "-m", "-n"]
        return ["adduser", "-q", "--gecos", '""', "--disabled-password"]

    @validate("add_user_cmd")
    def _as_words(self, proposal: Any) -> list[str]:
        return [proposal["value"]] if isinstance(proposal["value"], str) else list(proposal["value"])

    @observe("group_whitelist")
    def _former_name(self, change: Any) -> None:
        log.warning("auth.option_renamed", option="group_whitelist", now="allowed_groups")
        self.allowed_groups = change["new"]

    # Who may log in ---------------------------------------------------------------------

    def check_allowed(self, username: str, authentication: Model | None = None) -> Any:
        """By name or by group."""
        return self.check_allowed_groups(username, authentication) or super().check_allowed(username, authentication)

    def check_allowed_groups(self, username: str, authentication: Model | None = None) -> bool:
        """Somebody whom the host does not know is in none of its groups."""
        if not self.allowed_groups:
            return False
        try:
            theirs = groups_of(username)
        except KeyError:
            log.warning("auth.not_on_host", name=username[:64])
            return False
        return bool(theirs & self._numbers(self.allowed_groups))

    def _numbers(self, names: Iterable[str]) -> set[int]:
        """Of the groups that there are."""
        found = set()
        for name in names:
            try:
                found.add(grp.getgrnam(name).gr_gid)
            except KeyError:
                log.error("auth.no_such_group", group=name, option="allowed_groups")
        return found

    async def _settled(self, method: Callable[..., Any], *arguments: Any) -> Any:
        """The host's lists may be in a network that does not answer, and so never in a loop's way."""
        if self._may_block():
            return await settled(await self._lookups.call(method, *arguments))
        return await super()._settled(method, *arguments)

    def _may_block(self) -> bool:
        return bool(self.allowed_groups)

    # Users of the host ------------------------------------------------------------------

    async def add_user(self, user: Any) -> None:
        """Raises KeyError for somebody whom the host does not know, unless `create_system_users` is on."""
        if await settled(await self._lookups.call(self.system_user_exists, user)):
            return
        if not self.create_system_users:
            raise KeyError(
                f"User {user.name} does not exist on the system."
                " With c.LocalAuthenticator.create_system_users = True they would be created."
            )
        await settled(await self._lookups.call(self.add_system_user, user))

    def system_user_exists(self, user: Any) -> bool:
        try:
            pwd.getpwnam(user.name)
        except (KeyError, ValueError):  # ValueError: no name that the system could have
            return False
        return True

    def add_system_user(self, user: Any) -> None:
        """Run `add_user_cmd`. Blocks. Raises ValueError for a name that no user should have, or RuntimeError."""
        command = self.command_for(user.name)
        log.info("auth.creating_system_user", name=user.name, command=command)
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=PATIENCE,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise RuntimeError(f"Failed to create system user {user.name}: {error}") from error
        if done.returncode and not self.system_user_exists(user):  # perhaps another auth was faster
            said = done.stdout.decode(errors="replace").strip()
            raise RuntimeError(f"Failed to create system user {user.name}: {said or f'status {done.returncode}'}")

    def command_for(self, name: str) -> list[str]:
        """`add_user_cmd` for *name*: words, which no shell sees. Raises ValueError for a name that is no user's."""
        if not _CREATABLE.fullmatch(name):
            raise ValueError(f"No system user is created by the name {name!r}")
        words = [word.replace("USERNAME", name) for word in self.add_user_cmd]
        number = ["--uid", str(int(self.uids[name]))] if name in self.uids else []
        return [*words, *number, name]


def groups_of(username: str) -> set[int]:
    """The numbers of all groups that a user of the host is in. Raises KeyError if there is no such user."""
    return set(os.getgrouplist(username, pwd.getpwnam(username).pw_gid))
