"""ID tokens that are not for this login, or not the provider's."""

import base64
import hmac
import json

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey
from openid_double import CLIENT
from openid_round import log_in, of_double

from hubbub_auth.authenticators.oidc import provider
from hubbub_auth.testing import House

BELIEVED = "cannot be believed"


@pytest.fixture
async def browser(house: House, double):
    return await house.browser(config=of_double(double))


async def nobody(house: House) -> bool:
    return not await (await house.pool()).fetch("select 1 from users union all select 1 from sessions")


CLAIMS = {
    "another issuer": {"iss": "https://evil.example"},
    "no issuer": {"iss": "-"},
    "another audience": {"aud": "another"},
    "audiences without us": {"aud": ["another", "third"]},
    "two audiences and no party": {"aud": [CLIENT, "another"]},
    "another party": {"aud": [CLIENT, "another"], "azp": "another"},
    "for another, by us": {"aud": "another", "azp": CLIENT},
    "no audience": {"aud": "-"},
    "expired": {"exp": 1_000_000_000},
    "no end": {"exp": "-"},
    "an end that is no number": {"exp": "tomorrow"},
    "from the future": {"iat": 9_999_999_999},
    "not yet": {"nbf": 9_999_999_999},
    "another nonce": {"nonce": "x" * 43},
    "no nonce": {"nonce": "-"},
    "no subject": {"sub": "-"},
    "a subject that is a number": {"sub": 7},
    "another access token": {"at_hash": "x" * 22},
}


@pytest.mark.parametrize("twist", CLAIMS.values(), ids=CLAIMS)
async def test_an_id_token_that_is_not_for_this_login_is_refused(house: House, double, browser, twist):
    double.claims_twist = twist
    answer = await log_in(browser)
    assert (answer.status, BELIEVED in answer.text, await nobody(house)) == (502, True, True)


def part(value) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def unsigned(claims) -> str:
    return f"{part({'alg': 'none', 'kid': 'k1'})}.{part(claims)}."


def by_public_key(double):
    """By hand: the library would not."""

    def sign(claims):
        text = f"{part({'alg': 'HS256', 'kid': 'k1'})}.{part(claims)}"
        return f"{text}.{part(hmac.digest(double.keys[0].as_pem(private=False), text.encode(), 'sha256'))}"

    return sign


def by_secret(double):
    return lambda claims: jwt.encode({"alg": "HS256", "kid": "k1"}, claims, OctKey.import_key("the secret of the hub"))


def by_another_key(double):
    key = RSAKey.generate_key(2048, {"kid": "k1"})
    return lambda claims: jwt.encode({"alg": "RS256", "kid": "k1"}, claims, key)


def by_an_unknown_key(double):
    key = RSAKey.generate_key(2048, {"kid": "k9"})
    return lambda claims: jwt.encode({"alg": "RS256", "kid": "k9"}, claims, key)


def with_a_key_of_its_own(double):
    key = RSAKey.generate_key(2048, {"kid": "k1"})
    header = {"alg": "RS256", "jwk": key.as_dict(private=False), "kid": "k1"}
    return lambda claims: jwt.encode(header, claims, key)


def changed(double):
    def sign(claims):
        head, _, tail = double._signed(claims).split(".")
        return f"{head}.{part(claims | {'preferred_username': 'root'})}.{tail}"

    return sign


SIGNERS = {
    "none": lambda double: unsigned,
    "HMAC under the public key": by_public_key,
    "HMAC under our secret": by_secret,
    "another key of that name": by_another_key,
    "an unknown key": by_an_unknown_key,
    "a key that it brings along": with_a_key_of_its_own,
    "changed on the way": changed,
    "nonsense": lambda double: lambda claims: "a.b.c",
    "nothing": lambda double: lambda claims: None,
    "a number": lambda double: lambda claims: 7,
    "huge": lambda double: lambda claims: "a" * 300_000,
}


@pytest.mark.parametrize("signer", SIGNERS.values(), ids=SIGNERS)
async def test_an_id_token_that_the_provider_has_not_signed_is_refused(house: House, double, browser, signer):
    double.sign = signer(double)
    answer = await log_in(browser)
    assert (answer.status, BELIEVED in answer.text, await nobody(house)) == (502, True, True)


async def test_keys_may_change(double, browser):
    assert (await log_in(browser)).status == 302
    double.keys = [RSAKey.generate_key(2048, {"kid": "k2"})]
    assert (await log_in(browser)).status == 302
    assert double.asked.count("jwks") == 2
    assert (await log_in(browser)).status == 302
    assert (double.asked.count("jwks"), double.asked.count("metadata")) == (2, 1)


async def test_unknown_keys_are_not_looked_for_again_and_again(double, browser, monkeypatch):
    double.sign = by_an_unknown_key(double)
    for _ in range(5):
        assert (await log_in(browser)).status == 502
    assert double.asked.count("jwks") == 2
    double.sign = double._signed
    assert (await log_in(browser)).status == 302
    monkeypatch.setattr(provider, "IN_VAIN", 0.0)
    double.keys = [RSAKey.generate_key(2048, {"kid": "k3"})]
    assert (await log_in(browser)).status == 302


async def test_secret_keys_and_odd_ones_in_the_set_are_passed_over(double, browser, monkeypatch):
    secret = OctKey.generate_key(256, {"kid": "k1"})

    class Odd:
        def __init__(self, given):
            self.given = given

        def as_dict(self, **_):
            return self.given

    odd = [Odd({"kty": "new"}), Odd({"kty": "RSA", "n": "?"}), Odd("x"), Odd(secret.as_dict())]
    double.keys = [*odd, *double.keys]
    assert (await log_in(browser)).status == 302
