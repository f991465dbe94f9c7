"""OAuth2's side of a client: Authlib writes the requests and reads the answers, `Network` carries them."""

from collections.abc import Mapping
from typing import Any

from authlib.integrations.base_client import OAuthError
from authlib.oauth2.client import OAuth2Client

from hubbub_auth.authenticators.oidc.network import Answer, Network, ProviderAway

#: What a token endpoint answers: `access_token`, and perhaps `refresh_token`, `id_token`, `expires_at`, `scope`.
Tokens = dict[str, Any]

#: Errors that say something of the code or the refresh token; all others are about the configuration, or the weather.
_GONE = frozenset({"invalid_grant", "bad_verification_code", "bad_refresh_token"})


class Rejected(Exception):
    """The provider says no: its `error`, and perhaps words for people. `is_final`: this code or token is no good."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(f"{error}: {description}" if description else error)
        self.error = error
        self.description = description
        self.is_final = error in _GONE


class Client(OAuth2Client):  # type: ignore[misc]  # Authlib has no types
    """For one question: it keeps what it was told. `client_auth` is how it proves itself, by OAuth2's names."""

    oauth_error_class = OAuthError

    def __init__(self, network: Network, client_id: str, client_secret: str, client_auth: str = "") -> None:
        super().__init__(
            session=None,
            client_id=client_id,
            client_secret=client_secret,
            token_endpoint_auth_method=client_auth or None,
            code_challenge_method="S256",
        )
        self._network = network

    def authorization(self, url: str, **given: str | None) -> str:
        """Where the browser has to go. *given*: `state`, `code_verifier`, `redirect_uri`, `scope`, ..."""
        return str(self.create_authorization_url(url, **given)[0])

    async def exchange(self, url: str, *, code: str, code_verifier: str, redirect_uri: str) -> Tokens:
        """Raises Rejected, ProviderAway."""
        return await self._answered(
            self.fetch_token(
                url,
                grant_type="authorization_code",
                code=code,
                code_verifier=code_verifier,
                redirect_uri=redirect_uri,
            )
        )

    async def renew(self, url: str, refresh_token: str) -> Tokens:
        """With the same refresh token if the provider gave no other. Raises Rejected, ProviderAway."""
        return await self._answered(self.refresh_token(url, refresh_token=refresh_token))

    async def _answered(self, asking: Any) -> Tokens:
        try:
            tokens = dict(await asking)
        except OAuthError as error:
            raise Rejected(words(error.error), words(error.description)) from None
        except (ValueError, TypeError) as error:
            raise ProviderAway(f"the token endpoint: {error}") from None
        if not isinstance(tokens.get("access_token"), str):
            raise ProviderAway("the token endpoint gave no access token")
        return tokens

    # What Authlib asks of a transport ---------------------------------------------------

    async def _fetch_token(
        self, url: str, body: str = "", headers: Any = None, auth: Any = None, method: str = "POST", **_: Any
    ) -> Any:
        return self.parse_response_token(await self._send(method, url, body, headers, auth))

    async def _refresh_token(
        self, url: str, refresh_token: str = "", body: str = "", headers: Any = None, auth: Any = None, **_: Any
    ) -> Any:
        token = self.parse_response_token(await self._send("POST", url, body, headers, auth))
        token.setdefault("refresh_token", refresh_token)
        return token

    async def _send(self, method: str, url: str, body: str, headers: Mapping[str, str], auth: Any) -> Answer:
        url, sent, body = auth.prepare(method, url, dict(headers), body)
        return await self._network.send(method, url, headers=sent, body=body)


def words(value: Any, longest: int = 300) -> str:
    """What a provider says, as far as it can be shown."""
    return "".join(c for c in value if c.isprintable())[:longest] if isinstance(value, str) else ""
