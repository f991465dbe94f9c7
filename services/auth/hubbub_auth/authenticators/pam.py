"""PAM: people log in with the passwords that they have on this host, or wherever its PAM looks."""

import grp
import pwd
from pathlib import Path
from types import ModuleType
from typing import Any

import structlog
from traitlets import Bool, Integer, Set, TraitError, Unicode

from hubbub_auth.authenticators.aside import Aside
from hubbub_auth.authenticators.authenticator import Model
from hubbub_auth.authenticators.local import LocalAuthenticator, groups_of

log = structlog.get_logger()

SERVICES = (Path("/etc/pam.d"), Path("/usr/lib/pam.d"), Path("/usr/share/pam.d"))
OLD_SERVICES = Path("/etc/pam.conf")


class PAMAuthenticator(LocalAuthenticator):
    """Asks PAM, in threads: a wrong password takes it seconds."""

    service = Unicode("login", help="The PAM service: the name of a file in /etc/pam.d.").tag(config=True)
    encoding = Unicode("utf8", help="Of names and passwords, as PAM gets them.").tag(config=True)
    check_account = Bool(True, help="Let PAM say, too, whether the account may be used now.").tag(config=True)
    admin_groups = Set(
        help="Who is in one of these groups of the host is an administrator when they log in, and nobody else but "
        "those in `admin_users`."
    ).tag(config=True)
    pam_normalize_username = Bool(
        False, help="Take the name that the host has for whoever PAM has let in, by way of their number."
    ).tag(config=True)
    open_sessions = Bool(False, help="Open a PAM session before a server starts, and close it afterwards.").tag(
        config=True
    )
    executor_threads = Integer(4, min=1, help="How many logins PAM is asked about at once.").tag(config=True)

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self._pam = library()
        check_service(self.service)
        self._aside = Aside(self.executor_threads, "pam")

    # Logging in -------------------------------------------------------------------------

    async def authenticate(self, handler: Any, data: dict[str, str]) -> str | None:
        username, password = data["username"], data.get("password", "")
        passwords = (password, data["otp"]) if "otp" in data else (password,)
        return await self._aside.call(self._authenticate, username, passwords)

    def _authenticate(self, username: str, passwords: tuple[str, ...]) -> str | None:
        """Blocks. What has a NUL in it would be read only up to there."""
        if not passwords[0] or any("\0" in text for text in (username, *passwords)):
            return None
        try:
            self._pam.authenticate(
                username, passwords, service=self.service, encoding=self.encoding, check=self.check_account
            )
        except self._pam.PAMError as error:
            log.warning("pam.refused", service=self.service, errno=error.errno, why=str(error))
            return None
        except UnicodeEncodeError:
            return None
        if not self.pam_normalize_username and _is_somebody_else(username, username.lower()):
            log.error("pam.name_of_two", name=username[:64], why="another user of the host has it in lower case")
            return None
        return username

    def normalize_username(self, username: str) -> str:
        """With `pam_normalize_username`: as the host spells it, if it knows it."""
        if not self.pam_normalize_username:
            return super().normalize_username(username)
        try:
            spelled = pwd.getpwuid(pwd.getpwnam(username).pw_uid).pw_name
        except (KeyError, ValueError):
            return super().normalize_username(username)
        return str(self.username_map.get(spelled, spelled))

    def _may_block(self) -> bool:
        return self.pam_normalize_username or super()._may_block()

    async def is_admin(self, handler: Any, authentication: Model) -> bool | None:
        """As `admin_groups` say, if there are any. A group that cannot be looked up is the hub's fault, not theirs."""
        if super().is_admin(handler, authentication):
            return True
        return await self._lookups.call(self._is_in_admin_groups, authentication["name"]) if self.admin_groups else None

    def _is_in_admin_groups(self, username: str) -> bool:
        try:
            wanted = {grp.getgrnam(group).gr_gid for group in self.admin_groups}
            return bool(wanted & groups_of(username))
        except (KeyError, OSError) as error:
            log.error("pam.admin_groups_unknown", name=username[:64], why=str(error))
            raise

    # Sessions, in the worker ------------------------------------------------------------

    async def pre_spawn_start(self, user: Any, spawner: Any) -> None:
        await self._session("open_session", user.name)

    async def post_spawn_stop(self, user: Any, spawner: Any) -> None:
        await self._session("close_session", user.name)

    async def _session(self, what: str, username: str) -> None:
        """A PAM that cannot do it is not asked again, as JupyterHub has it."""
        if not self.open_sessions:
            return
        ask = getattr(self._pam, what)
        try:
            await self._aside.call(lambda: ask(username, service=self.service, encoding=self.encoding))
        except self._pam.PAMError as error:
            log.warning("pam.sessions_given_up", failed=what, name=username, why=str(error))
            self.open_sessions = False


def _is_somebody_else(name: str, other: str) -> bool:
    """Whether both are users of this host, and not the same one."""
    if name == other:
        return False
    try:
        return pwd.getpwnam(name).pw_uid != pwd.getpwnam(other).pw_uid
    except (KeyError, ValueError):
        return False


def library() -> ModuleType:
    """Raises TraitError on a system without PAM."""
    try:
        import pamela
    except Exception as error:  # it looks for the system's library when it is imported, and for functions in it
        raise TraitError(
            f"PAM cannot be used here ({type(error).__name__}: {error});"
            " install its library (libpam0g on Debian), or choose another c.JupyterHub.authenticator_class"
        ) from error
    found: ModuleType = pamela
    return found


def check_service(name: str) -> None:
    """Raises TraitError if PAM has no such service: it would quietly use the one called `other`."""
    if name and "/" not in name and any((folder / name).is_file() for folder in SERVICES):
        return
    if OLD_SERVICES.is_file() and any(line.split()[:1] == [name] for line in OLD_SERVICES.read_text().splitlines()):
        return
    raise TraitError(f"service is {name!r}, and there is no file of that name in /etc/pam.d")
