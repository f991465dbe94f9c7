"""NATS's own kind of identity: a key pair whose secret half, the seed, never leaves whoever it is (ADR 26)."""

import base64
import binascii

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_SEED, _USER = 18 << 3, 20 << 3
_CHECKSUM = 2


class BadSeed(ValueError):
    """It is not the seed of a user."""


class Identity:
    """Who has the seed. `public`: what the server's configuration has of it."""

    def __init__(self, seed: str) -> None:
        """*seed*: SU... Raises BadSeed."""
        self._key = Ed25519PrivateKey.from_private_bytes(_unpacked(seed))
        self.public = _text(bytes([_USER]) + self._key.public_key().public_bytes_raw())

    def sign(self, nonce: str) -> bytes:
        """What proves to the server that has sent *nonce* who we are."""
        return base64.b64encode(self._key.sign(nonce.encode()))


def new_seed() -> str:
    head = bytes([_SEED | _USER >> 5, (_USER & 31) << 3])
    return _text(head + Ed25519PrivateKey.generate().private_bytes_raw())


def _text(data: bytes) -> str:
    checksum = binascii.crc_hqx(data, 0).to_bytes(_CHECKSUM, "little")
    return base64.b32encode(data + checksum).rstrip(b"=").decode()


def _unpacked(seed: str) -> bytes:
    text = seed.strip().encode()
    try:
        raw = base64.b32decode(text + b"=" * (-len(text) % 8))
    except (ValueError, binascii.Error):
        raise BadSeed("it is not base32") from None
    data, checksum = raw[:-_CHECKSUM], raw[-_CHECKSUM:]
    kind = data[:2] == bytes([_SEED | _USER >> 5, (_USER & 31) << 3])
    if not kind or len(data) != 34 or binascii.crc_hqx(data, 0).to_bytes(_CHECKSUM, "little") != checksum:
        raise BadSeed("it is not the seed of a NATS user (SU...)")
    return data[2:]
