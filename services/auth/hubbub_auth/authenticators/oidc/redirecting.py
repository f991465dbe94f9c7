"""What logins elsewhere have in common: options, the way there and back, groups, and asking again later."""

import asyncio
import time
from collections.abc import Coroutine, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import structlog
from aiohttp import web
from tornado.web import HTTPError
from traitlets import Bool, Dict, Enum, Float, List, Set, TraitError, Unicode, validate

from hubbub.domain.message import Invalid
from hubbub.domain.names import check_group_name
from hubbub.floor import at_home
from hubbub.plugin import settled
from hubbub_auth.authenticators.authenticator import Authenticator, Model
from hubbub_auth.authenticators.oidc.network import Network, ProviderAway

if TYPE_CHECKING:
    from hubbub_auth.authenticators.oidc.client import Client, Rejected, Tokens

log = structlog.get_logger()
T = TypeVar("T")

#: Seconds that an access token must still be good for to be worth sending.
SOON = 10
#: Seconds between looks for what another process is about to keep.
MEANWHILE = (0.1, 0.3, 0.6)

AWAY = "{} does not answer at the moment. Please try again in a moment."
NOT_BELIEVED = "What {} says of you cannot be believed, and nobody was logged in. Ask whoever runs this hub."
STALE = "This login was finished before, or took too long: {} does not know of it any more. Try again."
REFUSED = "{} did not let you in: {}"


@dataclass(frozen=True, kw_only=True)
class CameBack:
    """What a browser came back with, and what was remembered of its way there."""

    code: str
    redirect_uri: str
    code_verifier: str
    nonce: str


class RedirectAuthenticator(Authenticator):
    """Somebody else knows who it is: the browser goes there and comes back with a code."""

    client_id = Unicode(help="What the provider calls this hub.").tag(config=True)
    client_secret = Unicode(help="By which the hub proves to the provider that it is that client.").tag(config=True)
    scope = List(Unicode(), help="What to ask the provider for.").tag(config=True)
    callback_path = Unicode(help="Where people come back to, below the hub's own address.").tag(config=True)
    extra_authorize_params = Dict(
        help="More to put into the address that people are sent to, such as `prompt` or `audience`."
    ).tag(config=True)
    token_endpoint_auth_method = Enum(
        ["", "client_secret_basic", "client_secret_post", "none"],
        "",
        help="How the hub proves itself. Empty: as the provider prefers.",
    ).tag(config=True)
    allowed_groups = Set(Unicode(), help="Whoever is in one of these groups of the provider may log in.").tag(
        config=True
    )
    admin_groups = Set(
        Unicode(), help="Whoever is in one of them is an administrator, and then nobody else but `admin_users` is."
    ).tag(config=True)
    timeout = Float(10, help="Seconds for an answer of the provider.").tag(config=True)
    ca_certs = Unicode(help="A file with more authorities whose TLS certificates are good, for the provider.").tag(
        config=True
    )
    trust_env = Bool(
        False, help="Reach the provider by the proxy that the environment names (HTTPS_PROXY, NO_PROXY)."
    ).tag(config=True)

    #: Below the hub's prefix: where logins begin.
    login_path = ""
    #: What of an extra_authorize_params would undo what makes the way safe.
    _OURS = frozenset(
        [
            *("state", "nonce", "redirect_uri", "client_id", "response_type", "response_mode", "scope"),
            *("code_challenge", "code_challenge_method", "request", "request_uri"),
        ]
    )

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        if not self.client_id:
            raise TraitError("client_id is not set; the provider gives one out for this hub")
        if not self.callback_path:  # traits are not validated that are set to what they would have been
            raise TraitError("callback_path is ''; it is words like 'oidc_callback'")
        try:
            self.network = Network(timeout=self.timeout, ca_certs=self.ca_certs, trust_env=self.trust_env)
        except OSError as error:
            raise TraitError(f"ca_certs: {self.ca_certs!r} cannot be read: {error}") from None
        self._home: asyncio.AbstractEventLoop | None = None

    @validate("extra_authorize_params")
    def _check_extra(self, proposal: Any) -> dict[str, str]:
        if taken := sorted(self._OURS & set(proposal["value"])):
            raise TraitError(f"extra_authorize_params has {', '.join(taken)}, which the hub sets itself")
        return {str(name): str(value) for name, value in proposal["value"].items()}

    @validate("callback_path")
    def _check_callback_path(self, proposal: Any) -> str:
        path: str = proposal["value"].strip("/")
        if not path or not path.replace("_", "").replace("-", "").replace("/", "").isalnum() or not path.isascii():
            raise TraitError(f"callback_path is {proposal['value']!r}; it is words like 'oidc_callback'")
        return path

    @validate("timeout")
    def _check_timeout(self, proposal: Any) -> float:
        if not 0 < proposal["value"] <= 30:
            raise TraitError("timeout is more than 0 and at most 30 seconds")
        return float(proposal["value"])

    # For the classes below --------------------------------------------------------------

    @property
    def provider_id(self) -> str:
        """Which provider it is: a login that began at another one does not end here."""
        raise NotImplementedError

    async def authorize_url(self, *, redirect_uri: str, state: str, nonce: str, verifier: str) -> str:
        """Where the browser has to go. Raises HTTPError if that cannot be found out."""
        raise NotImplementedError

    async def check_answer(self, query: dict[str, str]) -> None:
        """Raises HTTPError if what the browser came back with is another provider's."""

    async def authenticate(self, handler: Any, data: dict[str, str]) -> Model | str | None:
        """Nobody, if they do not come back from the provider: a form or a request of the API says nothing here."""
        came_back = getattr(handler, "came_back", None)
        if not isinstance(came_back, CameBack):
            return None
        model = await self._identified(came_back)
        with suppress(AttributeError, TypeError):
            handler.username = str(model["name"])
        return model

    async def _identified(self, came_back: CameBack) -> Model:
        """Raises HTTPError."""
        raise NotImplementedError

    async def _again(self, user: Any, state: dict[str, Any]) -> bool | Model:
        """`refresh_user`, for somebody whose auth state is *state*. On the loop of the process."""
        raise NotImplementedError

    # Groups -----------------------------------------------------------------------------

    def with_groups(self, model: Model, groups: list[str]) -> Model:
        """`groups`: those that there can be in the hub; `provider_groups`: all of them."""
        model["provider_groups"] = groups
        model["groups"] = [name for name in groups if self._can_be_one(name)]
        return model

    def _can_be_one(self, name: str) -> bool:
        try:
            check_group_name(name)
        except Invalid:
            log.warning("auth.group_left_out", name=name[:100])
            return False
        return True

    def check_allowed(self, username: str, authentication: Model | None = None) -> Any:
        if super().check_allowed(username, authentication):
            return True
        return bool(self._of(authentication) & (self._same(self.allowed_groups) | self._same(self.admin_groups)))

    def is_admin(self, handler: Any, authentication: Model) -> Any:
        if super().is_admin(handler, authentication):
            return True
        if not self.admin_groups or "provider_groups" not in authentication:
            return None
        return bool(self._of(authentication) & self._same(self.admin_groups))

    def _of(self, model: Model | None) -> set[str]:
        return self._same((model or {}).get("provider_groups", ()))

    def _same(self, names: Iterable[str]) -> set[str]:
        """*names*, written so that those of the same group are equal."""
        return set(names)

    # Asking again -----------------------------------------------------------------------

    async def refresh_user(self, user: Any, handler: Any = None) -> bool | Model:
        """Without `enable_auth_state` nothing is kept that the provider could be asked by."""
        if not self.enable_auth_state:
            return True
        state = await user.get_auth_state()
        if not isinstance(state, dict) or not state.get("access_token"):
            return False
        found = await self.at_home(self._again(user, state))
        if isinstance(found, bool):
            return found
        return found if await self._still(user.name, found) else False

    async def _still(self, name: str, model: Model) -> bool:
        """Whether somebody could log in now of whom *model* is all that is known."""
        if "name" in model and await self._settled(self.normalize_username, model.pop("name")) != name:
            return False
        known = {**model, "name": name}
        if not await settled(self.check_blocked_users(name, known)):
            return False
        if "provider_groups" in model:
            if not await self._is_allowed(name, known):
                return False
            if self.admin_groups:
                model["admin"] = await settled(self.is_admin(None, known))
        return True

    # Its pages --------------------------------------------------------------------------

    def login_url(self, base_url: str) -> str:
        return f"{base_url}{self.login_path}"

    def routes(self, prefix: str) -> Sequence[web.RouteDef]:
        from hubbub_auth.authenticators.oidc import pages  # which need what needs the authenticators

        return pages.routes(self, prefix)

    def settle_in(self, app: web.Application) -> None:
        async def end(_: web.Application) -> None:
            await self.network.close()

        self._home = asyncio.get_running_loop()
        app.on_cleanup.append(end)

    async def at_home(self, asking: Coroutine[Any, Any, T]) -> T:
        """All requests are made on the loop of the process, wherever the authenticator itself lives."""
        return await (at_home(self._home, asking) if self._home else asking)

    def client(self, method: str = "") -> "Client":
        from hubbub_auth.authenticators.oidc.client import Client

        wanted = self.token_endpoint_auth_method or method
        return Client(self.network, self.client_id, self.client_secret, wanted)

    async def renewed_meanwhile(self, user: Any, tokens: "Tokens") -> bool:
        """Whether another process has used up the refresh token in *tokens*, and has the new one.

        It may be about to keep it: that is no event, so it is looked for a few times, by those who are refused alone.
        """
        for wait in (0, *MEANWHILE):
            await asyncio.sleep(wait)
            state = await user.get_auth_state()
            if isinstance(state, dict) and state.get("refresh_token") != tokens.get("refresh_token"):
                return True
        return False

    def away(self, error: ProviderAway) -> HTTPError:
        log.warning("auth.provider_away", why=str(error))
        return HTTPError(503, "%s", AWAY.format(self.login_service))

    def not_believed(self, error: Exception) -> HTTPError:
        log.error("auth.provider_not_believed", why=str(error))
        return HTTPError(502, "%s", NOT_BELIEVED.format(self.login_service))

    def rejected(self, error: "Rejected") -> HTTPError:
        """By the token endpoint: a code that was used, or is of somebody else; or we are not its client."""
        log.warning("auth.provider_refuses", why=str(error))
        if error.is_final:
            return HTTPError(403, "%s", STALE.format(self.login_service))
        return self.not_believed(error)

    def refused(self, why: str) -> HTTPError:
        return HTTPError(403, "%s", REFUSED.format(self.login_service, why))


def is_expired(tokens: "Tokens") -> bool:
    """Whether the access token is not worth sending any more."""
    at = tokens.get("expires_at")
    return isinstance(at, int | float) and at - SOON < time.time()
