"""Anybody is who they say they are: for trying things out."""

from hmac import compare_digest
from typing import Any

from traitlets import Unicode, default

from hubbub_auth.authenticators.authenticator import Authenticator


class DummyAuthenticator(Authenticator):
    """Takes any name, and any password unless one is set."""

    password = Unicode(help="If set, the password that everybody must give.").tag(config=True)

    @default("allow_all")
    def _allow_all_if_nobody_is_named(self) -> bool:
        return not self.allowed_users

    async def authenticate(self, handler: Any, data: dict[str, str]) -> str | None:
        if self.password and not compare_digest(data.get("password", "").encode(), self.password.encode()):
            return None
        return data["username"]
