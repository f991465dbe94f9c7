"""Idempotency-Key: whoever repeats a request, on any replica, gets the first outcome and has no second effect.

The answer is kept in the same commit as what it tells of, sealed with a key that only those have who have the
Idempotency-Key, since an answer can hold a token. A refusal changes nothing and is not kept.
"""

import base64
import hashlib
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
from aiohttp import web
from cryptography.fernet import Fernet

from hubbub.access import Identity
from hubbub.transaction import Transaction
from hubbub.vault import Fetches
from hubbub.web.request import IDENTITY, ApiError
from hubbub_api.keys import POOL

HEADER = "Idempotency-Key"
LONGEST_KEY = 255
MUTATING = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class Executes(Protocol):
    async def execute(self, query: str, *args: Any) -> Any: ...


class Kept(msgspec.Struct):
    status: int
    content_type: str
    body: bytes

    @classmethod
    def of(cls, response: web.Response) -> "Kept":
        body = response.body if isinstance(response.body, bytes) else b""
        return cls(response.status, response.headers.get("Content-Type", ""), body)

    def response(self) -> web.Response:
        headers = {"Content-Type": self.content_type} if self.content_type else None
        return web.Response(status=self.status, body=self.body or None, headers=headers)


class Repeated(Exception):
    """The request was carried out before."""

    def __init__(self, kept: Kept) -> None:
        super().__init__()
        self.kept = kept


@dataclass(frozen=True)
class Key:
    """One use of a key by one identity. `id` is a hash of both, `fingerprint` one of the request."""

    id: str
    fingerprint: bytes
    seal: Fernet

    async def find(self, source: Fetches) -> Kept | None:
        """The first outcome, if there is one. 422 if it was that of another request."""
        rows = await source.fetch("select fingerprint, answer from answers where key = $1", self.id)
        if not rows:
            return None
        if rows[0]["fingerprint"] != self.fingerprint:
            raise ApiError(422, f"This {HEADER} was used for another request")
        return msgspec.msgpack.decode(self.seal.decrypt(rows[0]["answer"]), type=Kept)

    def sealed(self, response: web.Response) -> bytes:
        return self.seal.encrypt(msgspec.msgpack.encode(Kept.of(response)))

    async def learn(self, source: Executes, response: web.Response) -> None:
        """More is known by now of what came of it."""
        await source.execute("update answers set answer = $2 where key = $1", self.id, self.sealed(response))

    def keep(self, tx: Transaction, response: web.Response) -> None:
        tx.later(
            "insert into answers (key, fingerprint, answer) values ($1, $2, $3)",
            self.id,
            self.fingerprint,
            self.sealed(response),
        )


async def key_of(request: web.Request) -> Key | None:
    """The key of a request that may change something; None for one without. 400 for one that cannot be meant."""
    given = request.headers.get(HEADER)
    identity: Identity | None = request.get(IDENTITY)
    if given is None or identity is None or request.method not in MUTATING:
        return None
    if not 1 <= len(given) <= LONGEST_KEY:
        raise ApiError(400, f"An {HEADER} has 1 to {LONGEST_KEY} characters")
    secret = hashlib.sha256(f"{identity.actor}\0{given}".encode(errors="surrogateescape"))
    what = f"{request.method}\0{request.path_qs}\0".encode(errors="surrogateescape") + await request.read()
    return Key(
        id=hashlib.sha256(b"id\0" + secret.digest()).hexdigest(),
        # Keyed, too: a request may hold a password, and nobody shall try guesses on this.
        fingerprint=hashlib.sha256(b"request\0" + secret.digest() + what).digest(),
        seal=Fernet(base64.urlsafe_b64encode(hashlib.sha256(b"seal\0" + secret.digest()).digest())),
    )


async def outcome(request: web.Request) -> web.Response | None:
    """What was answered when this very request was made before."""
    key = await key_of(request)
    kept = await key.find(request.app[POOL]) if key else None
    return kept.response() if kept else None
