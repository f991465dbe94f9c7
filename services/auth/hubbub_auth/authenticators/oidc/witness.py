"""What an OpenID provider says of somebody: asked with a code when they log in, and again with what that brought."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from hubbub_auth.authenticators.oidc.client import Client, Rejected, Tokens
from hubbub_auth.authenticators.oidc.network import Network, ProviderAway, TokenRefused
from hubbub_auth.authenticators.oidc.provider import Claims, Metadata, Provider, Untrusted
from hubbub_auth.authenticators.oidc.redirecting import CameBack, is_expired


class Gone(Exception):
    """The provider does not vouch for them any more."""


@dataclass
class Evidence:
    """`sub`: of whom it is. `told_by`: what said so, of `id_token` and `userinfo`."""

    tokens: Tokens
    sub: str = ""
    claims: Claims = field(default_factory=dict)
    told_by: set[str] = field(default_factory=set)

    def lacks(self, wanted: Iterable[str]) -> bool:
        return any(found(self.claims, claim) is None for claim in wanted)

    @property
    def state(self) -> dict[str, Any]:
        """What is kept of it, by the names that hooks for JupyterHub's OAuthenticator know."""
        kept = {name: self.tokens.get(name) for name in ("access_token", "refresh_token", "id_token", "expires_at")}
        scope = str(self.tokens.get("scope") or "").split()
        return {**kept, "scope": scope, "oauth_user": self.claims, "told_by": sorted(self.told_by)}


@dataclass(frozen=True)
class Witness:
    """`wanted`: the claims that there have to be. `userinfo`: `if-needed` for them, `always` or `never`."""

    provider: Provider
    network: Network
    client_id: str
    has_secret: bool
    client: Callable[[str], Client]
    wanted: tuple[str, ...]
    userinfo: str
    skew: float

    async def redeem(self, came_back: CameBack) -> Evidence:
        """Raises Rejected, Untrusted, TokenRefused, ProviderAway."""
        metadata = await self.provider.metadata()
        tokens = await self._client(metadata).exchange(
            metadata.token_endpoint,
            code=came_back.code,
            code_verifier=came_back.code_verifier,
            redirect_uri=came_back.redirect_uri,
        )
        evidence = Evidence(tokens)
        await self._read_id_token(evidence, came_back.nonce)
        if self._asks(metadata, evidence):
            await self._ask_userinfo(metadata, evidence)
        return evidence

    async def ask_again(self, state: dict[str, Any]) -> Evidence | None:
        """Of whoever has that auth state; None if there is nothing to ask by. Raises Gone, and what `redeem` does."""
        metadata = await self.provider.metadata()
        evidence = Evidence(dict(state), sub=str((state.get("oauth_user") or {}).get("sub", "")))
        can_ask, can_renew = bool(metadata.userinfo_endpoint) and self.userinfo != "never", bool(state["refresh_token"])
        if not can_ask and not can_renew:
            return None
        if can_ask and not is_expired(state):
            try:
                await self._ask_userinfo(metadata, evidence)
            except TokenRefused:
                if not can_renew:
                    raise Gone from None
            if evidence.claims and not (can_renew and evidence.lacks(self.wanted)):
                return evidence
        if not can_renew:
            raise Gone
        return await self._renewed(metadata, evidence)

    async def _renewed(self, metadata: Metadata, before: Evidence) -> Evidence:
        try:
            tokens = await self._client(metadata).renew(metadata.token_endpoint, before.tokens["refresh_token"])
        except Rejected as error:
            if error.is_final:
                raise Gone from None
            raise
        tokens.setdefault("scope", " ".join(before.tokens.get("scope") or ()))
        evidence = Evidence(tokens, before.sub)
        if tokens.get("id_token"):
            await self._read_id_token(evidence)
        else:
            tokens["id_token"] = before.tokens.get("id_token")  # which a log-out needs
        if self._asks(metadata, evidence):
            try:
                await self._ask_userinfo(metadata, evidence)
            except TokenRefused:
                raise Gone from None
            except ProviderAway:
                pass  # the new tokens count: those before may be worth nothing by now
        return evidence

    def _asks(self, metadata: Metadata, evidence: Evidence) -> bool:
        if self.userinfo == "never" or not metadata.userinfo_endpoint:
            return False
        return self.userinfo == "always" or evidence.lacks(self.wanted)

    async def _read_id_token(self, evidence: Evidence, nonce: str = "") -> None:
        claims = await self.provider.claims(
            evidence.tokens.get("id_token"),
            client_id=self.client_id,
            access_token=evidence.tokens["access_token"],
            nonce=nonce,
            skew=self.skew,
        )
        self._add(evidence, claims, "id_token")

    async def _ask_userinfo(self, metadata: Metadata, evidence: Evidence) -> None:
        answer = await self.network.get(metadata.userinfo_endpoint, token=evidence.tokens["access_token"])
        try:
            said = answer.json()
        except ValueError as error:
            raise Untrusted(f"the userinfo endpoint answers no JSON: {error}") from None
        if not isinstance(said, dict):
            raise Untrusted("the userinfo endpoint answers something else than claims")
        self._add(evidence, said, "userinfo")

    def _add(self, evidence: Evidence, claims: Claims, told_by: str) -> None:
        """What an ID token says, which is signed, wins; all of it has to be of the same person."""
        sub = claims.get("sub")
        if not isinstance(sub, str) or not sub or (evidence.sub and sub != evidence.sub):
            raise Untrusted(f"the {told_by} speaks of somebody else")
        evidence.sub = sub
        evidence.claims = claims | evidence.claims
        evidence.told_by.add(told_by)

    def _client(self, metadata: Metadata) -> Client:
        return self.client(preferred(metadata, has_secret=self.has_secret))


def preferred(metadata: Metadata, *, has_secret: bool) -> str:
    """How the provider would have a client prove itself."""
    if not has_secret:
        return "none"
    supported = metadata.token_endpoint_auth_methods_supported
    is_post = "client_secret_basic" not in supported and "client_secret_post" in supported
    return "client_secret_post" if is_post else "client_secret_basic"


def found(claims: Claims, path: str) -> Any:
    """The claim of that name, or, where names have dots, what is below it; None if there is none."""
    if path in claims:
        return claims[path]
    value: Any = claims
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value
