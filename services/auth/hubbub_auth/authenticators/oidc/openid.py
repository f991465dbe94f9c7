"""Logins at an OpenID provider (OpenID Connect Core 1.0): Keycloak, Entra ID, Google, Okta, Dex, ..."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import structlog
from tornado.web import HTTPError
from traitlets import Bool, Enum, Float, TraitError, Unicode, default, validate

from hubbub_auth.authenticators.authenticator import Model
from hubbub_auth.authenticators.oidc.network import ProviderAway, TokenRefused, is_safe
from hubbub_auth.authenticators.oidc.redirecting import CameBack, RedirectAuthenticator

if TYPE_CHECKING:
    from hubbub_auth.authenticators.oidc.provider import Claims, Metadata, Provider
    from hubbub_auth.authenticators.oidc.witness import Evidence, Witness

log = structlog.get_logger()

#: Characters of an ID token that can be put into an address.
LONGEST_HINT = 4000


class OIDCAuthenticator(RedirectAuthenticator):
    """PKCE, state and nonce are always used, whether or not the provider asks for them."""

    issuer = Unicode(help="The provider's issuer, as it writes it itself; all else is found from there.").tag(
        config=True
    )
    username_claim = Unicode(
        "preferred_username", help="Which claim is the name; `sub` is the only one that never changes hands."
    ).tag(config=True)
    groups_claim = Unicode(
        "groups", help="Which claim has the groups, `realm_access.roles` for example; empty: none."
    ).tag(config=True)
    userinfo = Enum(
        ["if-needed", "always", "never"],
        "if-needed",
        help="When to ask the userinfo endpoint: if the ID token lacks the name or the groups, always, or never.",
    ).tag(config=True)
    clock_skew = Float(60, help="Seconds by which the provider's clock may differ from ours.").tag(config=True)
    logout_at_provider = Bool(False, help="Whoever logs out here logs out there, too.").tag(config=True)
    post_logout_redirect_url = Unicode(
        help="Where the provider sends people after that: an address that it knows of this client."
    ).tag(config=True)

    login_path = "oidc_login"

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        if not self.issuer:
            raise TraitError("issuer is not set: an address like https://login.example.org/realms/lab")
        if "openid" not in self.scope:
            raise TraitError("scope has to have 'openid': without it the provider does not say who it is")
        self._provider: Provider | None = None

    @default("scope")
    def _usual_scope(self) -> list[str]:
        return ["openid", "profile", "email"]

    @default("callback_path")
    def _usual_callback(self) -> str:
        return "oidc_callback"

    @default("login_service")
    def _usual_service(self) -> str:
        return "OpenID Connect"

    @validate("issuer")
    def _check_issuer(self, proposal: Any) -> str:
        issuer: str = proposal["value"]
        if not is_safe(issuer) or "?" in issuer or "#" in issuer:
            raise TraitError(f"issuer is {issuer!r}; it is an address with https, without ? and #")
        return issuer

    @property
    def provider_id(self) -> str:
        return self.issuer

    @property
    def provider(self) -> "Provider":
        if self._provider is None:
            from hubbub_auth.authenticators.oidc.provider import Provider

            self._provider = Provider(self.issuer, self.network)
        return self._provider

    # There and back ---------------------------------------------------------------------

    async def authorize_url(self, *, redirect_uri: str, state: str, nonce: str, verifier: str) -> str:
        metadata = await self._metadata()
        return self.client().authorization(
            metadata.authorization_endpoint,
            redirect_uri=redirect_uri,
            state=state,
            nonce=nonce,
            code_verifier=verifier,
            scope=" ".join(self.scope),
            **self.extra_authorize_params,
        )

    async def check_answer(self, query: dict[str, str]) -> None:
        """RFC 9207: who sent them back says who it is."""
        said, metadata = query.get("iss"), await self._metadata()
        if said is None and not metadata.authorization_response_iss_parameter_supported:
            return
        if said != self.issuer:
            raise self.not_believed(RuntimeError(f"the answer is of the issuer {said!r}"))

    async def _metadata(self) -> "Metadata":
        from hubbub_auth.authenticators.oidc.provider import Untrusted

        try:
            return await self.at_home(self.provider.metadata())
        except ProviderAway as error:
            raise self.away(error) from None
        except Untrusted as error:
            raise self.not_believed(error) from None

    async def _identified(self, came_back: CameBack) -> Model:
        from hubbub_auth.authenticators.oidc.client import Rejected
        from hubbub_auth.authenticators.oidc.provider import Untrusted

        try:
            evidence = await self.at_home(self._witness.redeem(came_back))
        except ProviderAway as error:
            raise self.away(error) from None
        except (Untrusted, TokenRefused) as error:
            raise self.not_believed(error) from None
        except Rejected as error:
            raise self.rejected(error) from None
        return self._model(evidence)

    @property
    def _witness(self) -> "Witness":
        from hubbub_auth.authenticators.oidc.witness import Witness

        return Witness(
            self.provider,
            self.network,
            self.client_id,
            has_secret=bool(self.client_secret),
            client=self.client,
            wanted=(self.username_claim, *([self.groups_claim] if self._wants_groups else [])),
            userinfo=self.userinfo,
            skew=self.clock_skew,
        )

    @property
    def _wants_groups(self) -> bool:
        return bool(self.groups_claim and (self.manage_groups or self.allowed_groups or self.admin_groups))

    # Who it is --------------------------------------------------------------------------

    def _model(self, evidence: "Evidence") -> Model:
        name = _claim(evidence.claims, self.username_claim)
        if not isinstance(name, str) or not name:
            log.error("auth.no_name", claim=self.username_claim, claims=sorted(evidence.claims))
            raise self.refused(f"it does not say what you are called (there is no claim {self.username_claim}).")
        if self.username_claim == "email" and evidence.claims.get("email_verified") in (False, "false"):
            raise self.refused("your e-mail address is not verified there.")
        model: Model = {"name": name, "auth_state": evidence.state}
        if self._wants_groups:
            self.with_groups(model, _names(_claim(evidence.claims, self.groups_claim)))
        return model

    async def _again(self, user: Any, state: dict[str, Any]) -> bool | Model:
        from hubbub_auth.authenticators.oidc.witness import Gone

        try:
            evidence = await self._witness.ask_again(state)
        except Gone:
            return await self.renewed_meanwhile(user, state)
        return True if evidence is None else self._changed(evidence, state)

    def _changed(self, evidence: "Evidence", before: dict[str, Any]) -> Model:
        """What is to be changed of somebody whose auth state was *before*."""
        is_complete = bool(evidence.told_by) and evidence.told_by >= set(before.get("told_by") or ())
        said = evidence.claims
        evidence.claims = said if is_complete else (before.get("oauth_user") or {}) | said
        model: Model = {"auth_state": evidence.state | {"told_by": before.get("told_by")}}
        if (name := _claim(said, self.username_claim)) is not None:
            model["name"] = str(name)
        groups = _claim(said, self.groups_claim) if self._wants_groups else None
        if self._wants_groups and (groups is not None or is_complete):
            self.with_groups(model, _names(groups))
        return model

    # The way out ------------------------------------------------------------------------

    async def after_logout(self, user: Any, base_url: str) -> str:
        """The provider's own way out (OpenID Connect RP-Initiated Logout 1.0), or nothing."""
        if not self.logout_at_provider:
            return ""
        try:
            metadata = await self._metadata()
        except HTTPError:
            return ""  # they are logged out here, and that is what counts
        if not metadata.end_session_endpoint:
            return ""
        from authlib.common.urls import add_params_to_uri

        state = await user.get_auth_state() if user else None
        hint = state.get("id_token") if isinstance(state, dict) else None
        given = [("client_id", self.client_id)]
        if isinstance(hint, str) and len(hint) <= LONGEST_HINT:
            given.append(("id_token_hint", hint))
        if self.post_logout_redirect_url:
            given.append(("post_logout_redirect_uri", self.post_logout_redirect_url))
        return str(add_params_to_uri(metadata.end_session_endpoint, given))


def _claim(claims: "Claims", path: str) -> Any:
    from hubbub_auth.authenticators.oidc.witness import found

    return found(claims, path)


def _names(value: Any) -> list[str]:
    """The groups in a claim: a list, or one. Keycloak's begin with a slash."""
    given: Iterable[Any] = [value] if isinstance(value, str) else value if isinstance(value, list) else ()
    return sorted({name.removeprefix("/") for name in given if isinstance(name, str)})
