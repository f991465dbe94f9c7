"""Nobody logs in: for a hub that is used by tokens alone."""

from collections.abc import Sequence

from aiohttp import web
from traitlets import default

from hubbub_auth.authenticators.authenticator import Authenticator, Model
from hubbub_auth.front import Refused

NOBODY = "Nobody can log in to this hub with a browser. Its API takes tokens."


class NullAuthenticator(Authenticator):
    """There is no login form. Tokens, and what they may do, are as ever."""

    @default("auto_login")
    def _ask_nothing(self) -> bool:
        return True

    @default("login_service")
    def _service(self) -> str:
        return "null"

    async def authenticate(self, handler: object, data: dict[str, str]) -> Model | None:
        return None

    def login_url(self, base_url: str) -> str:
        return f"{base_url}no-login"

    def routes(self, prefix: str) -> Sequence[web.RouteDef]:
        return [web.get(self.login_url(prefix), _refuse)]


async def _refuse(_: web.Request) -> web.Response:
    raise Refused(403, NOBODY)
