"""Logins at GitHub, which has OAuth2 and an API of its own in the place of OpenID."""

from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import structlog
from traitlets import Enum, Integer, Set, TraitError, Unicode, default, validate

from hubbub_auth.authenticators.authenticator import Model
from hubbub_auth.authenticators.oidc.network import Answer, ProviderAway, TokenRefused, is_safe
from hubbub_auth.authenticators.oidc.redirecting import CameBack, RedirectAuthenticator, is_expired

if TYPE_CHECKING:
    from hubbub_auth.authenticators.oidc.client import Tokens

log = structlog.get_logger()

#: GitHub's largest, and how many of them are looked at.
PER_PAGE, PAGES = 100, 10
API_VERSION = "2022-11-28"


class GitHubAuthenticator(RedirectAuthenticator):
    """Groups are organisations (`numpy`) and their teams (`numpy:maintainers`), by the names that addresses have."""

    github_url = Unicode("https://github.com", help="Where people log in; of an Enterprise Server its address.").tag(
        config=True
    )
    github_api = Unicode(help="Where its API is. By default api.github.com, or /api/v3 of an Enterprise Server.").tag(
        config=True
    )
    allowed_organizations = Set(
        Unicode(), help="Members of these organisations, or teams (`organisation:team`), may log in."
    ).tag(config=True)
    username_claim = Enum(
        ["login", "id"],
        "login",
        help="What is the name: the login, which people can change and others take; or the id.",
    ).tag(config=True)
    most_pages = Integer(PAGES, help="How many pages, of 100 each, of somebody's organisations and teams to read.").tag(
        config=True
    )

    login_path = "oauth_login"

    @default("callback_path")
    def _usual_callback(self) -> str:
        return "oauth_callback"

    @default("login_service")
    def _usual_service(self) -> str:
        return "GitHub"

    @default("scope")
    def _usual_scope(self) -> list[str]:
        return ["read:org"] if self._wants_groups else []

    @default("github_api")
    def _usual_api(self) -> str:
        return "https://api.github.com" if self.github_url == "https://github.com" else f"{self.github_url}/api/v3"

    @validate("github_url", "github_api")
    def _check_url(self, proposal: Any) -> str:
        url: str = proposal["value"].rstrip("/")
        if not is_safe(url):
            raise TraitError(f"{proposal['trait'].name} is {url!r}; it is an address with https")
        return url

    @property
    def _wants_groups(self) -> bool:
        return bool(self.manage_groups or self.allowed_organizations or self.allowed_groups or self.admin_groups)

    @property
    def provider_id(self) -> str:
        return self.github_url

    # There and back ---------------------------------------------------------------------

    async def authorize_url(self, *, redirect_uri: str, state: str, nonce: str, verifier: str) -> str:
        return self.client().authorization(
            f"{self.github_url}/login/oauth/authorize",
            redirect_uri=redirect_uri,
            state=state,
            code_verifier=verifier,
            scope=" ".join(self.scope),
            **self.extra_authorize_params,
        )

    async def _identified(self, came_back: CameBack) -> Model:
        from hubbub_auth.authenticators.oidc.client import Rejected

        try:
            return await self.at_home(self._redeemed(came_back))
        except ProviderAway as error:
            raise self.away(error) from None
        except TokenRefused:
            raise self.not_believed(RuntimeError("it refuses its own token")) from None
        except Rejected as error:
            raise self.rejected(error) from None

    async def _redeemed(self, came_back: CameBack) -> Model:
        tokens = await self.client("client_secret_post").exchange(
            self._token_url,
            code=came_back.code,
            code_verifier=came_back.code_verifier,
            redirect_uri=came_back.redirect_uri,
        )
        return await self._model(tokens)

    @property
    def _token_url(self) -> str:
        return f"{self.github_url}/login/oauth/access_token"

    # Who it is --------------------------------------------------------------------------

    async def _model(self, tokens: "Tokens") -> Model:
        user = _json(await self._ask("/user", tokens))
        if not isinstance(user, dict) or not isinstance(user.get("login"), str) or not isinstance(user.get("id"), int):
            raise ProviderAway("the API says of nobody who they are")
        model: Model = {"name": str(user[self.username_claim]), "auth_state": _kept(tokens, user)}
        return self.with_groups(model, await self._groups(tokens)) if self._wants_groups else model

    async def _groups(self, tokens: "Tokens") -> list[str]:
        """The organisations and teams that somebody is in, as far as GitHub lets the hub see them."""
        found: set[str] = set()
        async for each in self._pages("/user/orgs", tokens):
            found.add(_text(each, "login"))
        async for each in self._pages("/user/teams", tokens):
            found.add(f"{_text(each.get('organization'), 'login')}:{_text(each, 'slug')}")
        return sorted(found)

    async def _pages(self, path: str, tokens: "Tokens") -> AsyncIterator[Any]:
        for page in range(1, self.most_pages + 1):
            answer = await self._ask(f"{path}?per_page={PER_PAGE}&page={page}", tokens)
            items = _json(answer)
            if not isinstance(items, list):
                raise ProviderAway(f"{path} of the API answers no list")
            for each in items:
                yield each
            if 'rel="next"' not in answer.headers.get("Link", ""):
                return
        log.warning("auth.list_cut_off", path=path, pages=self.most_pages)

    async def _ask(self, path: str, tokens: "Tokens") -> Answer:
        return await self.network.get(
            f"{self.github_api}{path}",
            token=tokens["access_token"],
            headers={"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": API_VERSION},
        )

    def check_allowed(self, username: str, authentication: Model | None = None) -> Any:
        if super().check_allowed(username, authentication):
            return True
        return bool(self._of(authentication) & self._same(self.allowed_organizations))

    def _same(self, names: Iterable[str]) -> set[str]:
        """GitHub's names are the same in upper and lower case."""
        return {name.lower() for name in names}

    # Asking again -----------------------------------------------------------------------

    async def _again(self, user: Any, state: dict[str, Any]) -> bool | Model:
        """The tokens of an OAuth app are good until they are revoked; those of a GitHub app are renewed."""
        tokens, known = {**state, "scope": " ".join(state.get("scope") or ())}, state.get("github_user") or {}
        found: bool | Model | None = None
        with suppress(TokenRefused):
            found = None if is_expired(tokens) else await self._model(tokens)
        if found is None:
            found = await self._renewed(user, state, tokens)
        if isinstance(found, bool):
            return found
        return found if found["auth_state"]["github_user"].get("id") == known.get("id") else False

    async def _renewed(self, user: Any, state: dict[str, Any], tokens: "Tokens") -> bool | Model:
        from hubbub_auth.authenticators.oidc.client import Rejected

        if not tokens.get("refresh_token"):
            return False
        try:
            tokens |= await self.client("client_secret_post").renew(self._token_url, tokens["refresh_token"])
            return await self._model(tokens)
        except Rejected as error:
            if not error.is_final:
                raise
            return await self.renewed_meanwhile(user, state)
        except TokenRefused:
            return False
        except ProviderAway:
            if tokens["access_token"] == state["access_token"]:
                raise
            # The new tokens count: those before may be worth nothing by now.
            return {"auth_state": _kept(tokens, state.get("github_user") or {})}


def _json(answer: Answer) -> Any:
    try:
        return answer.json()
    except ValueError as error:
        raise ProviderAway(f"the API answers no JSON: {error}") from None


def _text(value: Any, name: str) -> str:
    found = value.get(name) if isinstance(value, dict) else None
    if not isinstance(found, str):
        raise ProviderAway(f"the API names no {name}")
    return found


def _kept(tokens: "Tokens", user: dict[str, Any]) -> dict[str, Any]:
    """The auth state, by the names that hooks for JupyterHub's OAuthenticator know."""
    kept = {name: tokens.get(name) for name in ("access_token", "refresh_token", "expires_at")}
    scope = [each for each in str(tokens.get("scope") or "").replace(",", " ").split() if each]
    return {**kept, "scope": scope, "github_user": user}
