"""A secret for one reader, on a bus that others may read: who asks makes a pair of keys, and sends one of them."""

from base64 import urlsafe_b64decode, urlsafe_b64encode

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_KEY = 32
#: Every key seals once, so that it needs no nonce of its own.
_ONCE = bytes(12)


class Unsealable(ValueError):
    """That is no key, or nothing that was sealed for this one."""


class Box:
    """Of who asks. `key`: to be sent with the question."""

    def __init__(self) -> None:
        self._own = X25519PrivateKey.generate()
        self._public = self._own.public_key().public_bytes_raw()
        self.key = urlsafe_b64encode(self._public).decode()

    def open(self, sealed: str, about: str) -> str:
        """What `seal` was given with the same *about*. Raises Unsealable."""
        data = _bytes(sealed)
        theirs, text = data[:_KEY], data[_KEY:]
        try:
            shared = self._own.exchange(X25519PublicKey.from_public_bytes(theirs))
            return _cipher(shared, theirs + self._public, about).decrypt(_ONCE, text, None).decode()
        except (ValueError, InvalidTag):
            raise Unsealable("it was not sealed for this key") from None


def seal(key: str, secret: str, about: str) -> str:
    """*secret* for the `Box` whose *key* it is, and for nothing but *about* (a subject). Raises Unsealable."""
    own = X25519PrivateKey.generate()
    public, theirs = own.public_key().public_bytes_raw(), _bytes(key)
    try:
        shared = own.exchange(X25519PublicKey.from_public_bytes(theirs))
    except ValueError:
        raise Unsealable("that is no key") from None
    text = _cipher(shared, public + theirs, about).encrypt(_ONCE, secret.encode(), None)
    return urlsafe_b64encode(public + text).decode()


def _cipher(shared: bytes, keys: bytes, about: str) -> ChaCha20Poly1305:
    info = f"hubbub sealed box {about}".encode()
    return ChaCha20Poly1305(HKDF(SHA256(), _KEY, salt=keys, info=info).derive(shared))


def _bytes(text: str) -> bytes:
    try:
        return urlsafe_b64decode(text.encode())
    except ValueError:
        raise Unsealable("it is not base64") from None
