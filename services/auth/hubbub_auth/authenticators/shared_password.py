"""One password for all, and another for administrators: for workshops and the like."""

from hmac import compare_digest
from typing import Any

from traitlets import Bool, Dict, List, TraitError, Unicode, validate

from hubbub_auth.authenticators.authenticator import Authenticator, Model

SHORTEST_USER_PASSWORD = 8
SHORTEST_ADMIN_PASSWORD = 32


class SharedPasswordAuthenticator(Authenticator):
    """Everybody gives the same password. Who is named in `admin_users` must give `admin_password` instead."""

    user_password = Unicode(
        None, allow_none=True, help="What everybody else gives. If not set, only administrators can log in."
    ).tag(config=True)
    admin_password = Unicode(
        None, allow_none=True, help="What administrators give. If not set, they cannot log in."
    ).tag(config=True)
    admins_share_password = Bool(
        False,
        help="""Let administrators log in with user_password too, if admin_password is not set. Then whoever knows
        the password can be an administrator: for a hub that one person uses alone.""",
    ).tag(config=True)

    password_groups = Dict(
        List(Unicode()),
        key_trait=Unicode(),
        help="Other passwords -> the groups of whoever gives them; with `manage_groups`.",
    ).tag(config=True)

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        if self.password_groups and not self.manage_groups:
            raise TraitError("password_groups needs manage_groups = True")

    @validate("user_password")
    def _check_user_password(self, proposal: Any) -> str | None:
        return self._checked("user_password", proposal["value"], SHORTEST_USER_PASSWORD, self.admin_password)

    @validate("admin_password")
    def _check_admin_password(self, proposal: Any) -> str | None:
        return self._checked("admin_password", proposal["value"], SHORTEST_ADMIN_PASSWORD, self.user_password)

    def _checked(self, name: str, password: str | None, shortest: int, other: str | None) -> str | None:
        """Never says the password: the sentence ends up on a screen."""
        if not password:
            return None
        if len(password) < shortest:
            raise TraitError(f"{type(self).__name__}.{name} must have at least {shortest} characters")
        if password == other:
            raise TraitError(f"{type(self).__name__}.user_password and admin_password must differ")
        return password

    async def authenticate(self, handler: Any, data: dict[str, str]) -> Model | None:
        name = self.normalize_username(data["username"])
        is_admin = name in self.admin_users
        password = data.get("password", "")
        if _same(password, self._password_of(is_admin=is_admin)):
            return self._model(data["username"], [], admin=is_admin)
        groups = [groups for each, groups in self.password_groups.items() if each and _same(password, each)]
        return self._model(data["username"], groups[0]) if groups and not is_admin else None

    def _model(self, name: str, groups: list[str], **more: bool) -> Model:
        return {"name": name, **more, **({"groups": groups} if self.manage_groups else {})}

    def _password_of(self, *, is_admin: bool) -> str | None:
        if not is_admin:
            return self.user_password
        if self.admin_password is None and self.admins_share_password:
            return self.user_password
        return self.admin_password


def _same(given: str, wanted: str | None) -> bool:
    return wanted is not None and compare_digest(given.encode(), wanted.encode())
