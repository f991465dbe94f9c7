"""An OpenID provider: what it says of itself, its keys, and whether an ID token is really its own."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

import msgspec
import structlog
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import BadSignatureError, InvalidKeyIdError, JoseError
from joserfc.jwk import JWKRegistry, Key, KeySet
from joserfc.jws import JWSRegistry

from hubbub_auth.authenticators.oidc.network import Network, ProviderAway, is_safe

log = structlog.get_logger()

Claims = dict[str, Any]
T = TypeVar("T")

#: Only what is signed by a key that nobody but the provider has: no `none`, and no HMAC.
ALGORITHMS = (
    *("RS256", "RS384", "RS512"),
    *("PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
)
#: Seconds after which what a provider says of itself, and its keys, are fetched again.
GOOD_FOR = 3600.0
#: Seconds for which keys are not fetched again because of a token, after that was done in vain.
IN_VAIN = 30.0
#: Seconds for which they are used on while it is away, and for which it is not asked again if there are none.
STALE, PAUSE = 60.0, 1.0
UNSIGNED = "the ID token is not signed by a key of the provider"
WELL_KNOWN = "/.well-known/openid-configuration"


class Untrusted(Exception):
    """What the provider gave us cannot be believed; the sentence is for the operator."""


class Metadata(msgspec.Struct, frozen=True, kw_only=True):
    """OpenID Connect Discovery 1.0, as far as it is used here."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str = ""
    end_session_endpoint: str = ""
    id_token_signing_alg_values_supported: tuple[str, ...] = ("RS256",)
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    authorization_response_iss_parameter_supported: bool = False

    @property
    def algorithms(self) -> list[str]:
        return [name for name in ALGORITHMS if name in self.id_token_signing_alg_values_supported]


class _Fetched(Generic[T]):
    """What *fetch* brings, kept for a while, and for longer if the provider is away then."""

    def __init__(self, fetch: Callable[[], Awaitable[T]]) -> None:
        self._fetch = fetch
        self._value: T | None = None
        self._good_until = self._away_until = 0.0
        self._why = ""
        self._lock = asyncio.Lock()

    async def get(self, *, instead_of: T | None = None) -> T:
        """*instead_of*: what was got before, if that has turned out to be no good. Raises ProviderAway."""
        async with self._lock:
            kept = self._value if self._value is not instead_of else None
            if kept is not None and time.monotonic() < self._good_until:
                return kept
            if time.monotonic() < self._away_until:  # whoever waited for the same answer need not wait again
                raise ProviderAway(self._why)
            try:
                self._value = kept = await self._fetch()
                self._good_until = time.monotonic() + GOOD_FOR
            except ProviderAway as error:
                if kept is None:
                    self._away_until, self._why = time.monotonic() + PAUSE, str(error)
                    raise
                self._good_until = time.monotonic() + STALE
            return kept


class Provider:
    def __init__(self, issuer: str, network: Network) -> None:
        self.issuer = issuer
        self._network = network
        self._metadata = _Fetched(self._fetch_metadata)
        self._keys = _Fetched(self._fetch_keys)
        self._in_vain_at = -IN_VAIN

    async def metadata(self) -> Metadata:
        """Raises ProviderAway; Untrusted if what it says of itself cannot be used."""
        return await self._metadata.get()

    async def _fetch_metadata(self) -> Metadata:
        return self._checked((await self._network.get(self.issuer.rstrip("/") + WELL_KNOWN)).body)

    async def _fetch_keys(self) -> KeySet:
        return _imported((await self._network.get((await self.metadata()).jwks_uri)).body)

    def _checked(self, body: bytes) -> Metadata:
        try:
            found = msgspec.json.decode(body, type=Metadata)
        except msgspec.MsgspecError as error:
            raise Untrusted(f"{self.issuer}{WELL_KNOWN} cannot be read: {error}") from None
        if found.issuer != self.issuer:  # to the letter: it is compared with what tokens say
            raise Untrusted(f"the provider says that its issuer is {found.issuer!r}, not {self.issuer!r}")
        for name in ("authorization", "token", "userinfo", "end_session"):
            if (url := getattr(found, f"{name}_endpoint")) and not is_safe(url):
                raise Untrusted(f"{name}_endpoint is {url!r}, which is not https")
        if not is_safe(found.jwks_uri):
            raise Untrusted(f"jwks_uri is {found.jwks_uri!r}, which is not https")
        if not found.algorithms:
            raise Untrusted("it signs with no algorithm that could be trusted: " + ", ".join(ALGORITHMS))
        return found

    async def claims(
        self, id_token: Any, *, client_id: str, access_token: str, nonce: str = "", skew: float = 0
    ) -> Claims:
        """Of an ID token that is for us, good now, and (with a *nonce*) of this very login.

        *skew*: seconds by which clocks may differ. Raises Untrusted, ProviderAway.
        """
        if not isinstance(id_token, str):
            raise Untrusted("there is no ID token; is `openid` among the scopes?")
        token = await self._verified(id_token)
        expected = {"iss": {"essential": True, "value": self.issuer}, "aud": {"essential": True, "value": client_id}}
        params = {"nonce": nonce, "client_id": client_id, "access_token": access_token}
        claims = CodeIDToken(token.claims, token.header, expected, params)
        try:
            claims.validate(leeway=int(skew))
        except (JoseError, ValueError, TypeError) as error:
            raise Untrusted(f"the ID token is not good: {error}") from None
        return dict(claims)

    async def _verified(self, id_token: str) -> jwt.Token:
        """Signed by a key of the provider; which it may have changed since we asked."""
        algorithms = (await self.metadata()).algorithms
        keys = await self._keys.get()
        try:
            return _decoded(id_token, keys, algorithms)
        except (InvalidKeyIdError, BadSignatureError) as error:
            if time.monotonic() - self._in_vain_at < IN_VAIN:
                raise Untrusted(f"{UNSIGNED}: {error}") from None
        keys = await self._keys.get(instead_of=keys)
        try:
            return _decoded(id_token, keys, algorithms)
        except (InvalidKeyIdError, BadSignatureError) as error:
            self._in_vain_at = time.monotonic()
            raise Untrusted(f"{UNSIGNED}: {error}") from None


def _decoded(id_token: str, keys: KeySet, algorithms: list[str]) -> jwt.Token:
    registry = JWSRegistry(algorithms=algorithms, strict_check_header=False)
    try:
        return jwt.decode(id_token, keys, registry=registry)
    except (InvalidKeyIdError, BadSignatureError):
        raise
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise Untrusted(f"the ID token cannot be read: {error}") from None


def _imported(body: bytes) -> KeySet:
    """The public keys of a set; what is of a kind that is unknown, or secret, is passed over."""
    try:
        given = msgspec.json.decode(body)["keys"]
        keys = [key for each in given if (key := _key(each)) is not None]
    except (msgspec.MsgspecError, TypeError, KeyError) as error:
        raise ProviderAway(f"its keys cannot be read: {error}") from None
    if not keys:
        raise ProviderAway("it shows no keys that could be used")
    return KeySet(keys)


def _key(given: Any) -> Key | None:
    if not isinstance(given, dict) or given.get("kty") == "oct":
        return None
    try:
        return JWKRegistry.import_key(given)
    except (JoseError, ValueError, TypeError, KeyError) as error:
        log.warning("auth.key_passed_over", kid=str(given.get("kid"))[:100], error=str(error))
        return None
