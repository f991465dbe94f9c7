"""Hashes and encryption that JupyterHub has made."""

import base64
import secrets
import sys
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

sys.path.insert(0, str(Path(__file__).parent))

from their_database import hashed

from hubbub.legacy import matches
from hubbub.moving.back import as_theirs
from hubbub.moving.crypt import BadKey, keeper, opened
from hubbub.tokens import token_hash


def test_a_token_matches_its_own_hash_alone() -> None:
    for known in (hashed("abcd1234"), hashed("abcd1234", rounds=16384), token_hash("abcd1234")):
        assert matches(known, "abcd1234")
        assert matches(as_theirs(known), "abcd1234")
        assert not any(matches(known, wrong) for wrong in ("abcd1235", "", "abcd", "abcd1234" * 9))
    for damaged in ("sha512:1:salt:", "md17:1:salt:x", "sha512:x:salt:x", "a:b:c:d", ":::"):
        assert not matches(damaged, "abcd1234")


@pytest.mark.parametrize("spelling", ["hex", "base64", "bytes"])
def test_keys_are_taken_as_jupyterhub_takes_them(spelling: str) -> None:
    key = secrets.token_bytes(32)
    said = {"hex": key.hex(), "base64": base64.urlsafe_b64encode(key).decode(), "bytes": key}[spelling]
    sealed = Fernet(base64.urlsafe_b64encode(key)).encrypt(b'{"a": 1}')
    known = keeper({}, [said]) if isinstance(said, bytes) else keeper({"JUPYTERHUB_CRYPT_KEY": f"{'0' * 64};{said}"})
    assert known is not None
    assert opened([known], sealed) == b'{"a": 1}'
    assert opened([], sealed) is None


def test_a_key_that_is_none_is_named() -> None:
    assert keeper({}) is None
    with pytest.raises(BadKey, match="has 5 bytes"):
        keeper({"JUPYTERHUB_CRYPT_KEY": "short"})
    with pytest.raises(BadKey, match="neither hex nor base64"):
        keeper({"JUPYTERHUB_CRYPT_KEY": "z" * 64})
