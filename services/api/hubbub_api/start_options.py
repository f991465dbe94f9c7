"""What a start is given: user options, and the browser's request that it goes back to, as the vault keeps them."""

from typing import Any

import msgspec

from hubbub.domain.message import Invalid
from hubbub.form_messages import WebRequest
from hubbub.transaction import Transaction

#: User options travel to a worker in one message, sealed, perhaps with those of others.
LARGEST_OPTIONS = 128 * 1024

#: So does the browser's request that a start goes back to.
LARGEST_REQUEST = 16 * 1024


async def keep(
    tx: Transaction, owner: str, id: str, options: dict[str, Any] | None, asked: WebRequest | None, *, new: bool
) -> None:
    """What a worker is told of this start. Options are those of the last one unless they are given."""
    if options is not None or asked is not None:
        await tx.know(owner)
    if options is not None:
        tx.remember(f"options:{id}", owner, packed(options))
    if asked is not None:
        tx.remember(f"request:{id}", owner, packed_request(asked))
    elif not new:
        tx.later("delete from vault where key = $1", f"request:{id}")


def packed(options: dict[str, Any]) -> bytes:
    """*options* as the vault keeps them. Raises `Invalid` if they are too large."""
    packed = msgspec.json.encode(options)
    if len(packed) > LARGEST_OPTIONS:
        raise Invalid(f"user_options take {len(packed)} bytes; {LARGEST_OPTIONS} are allowed")
    return packed


def packed_request(asked: WebRequest) -> bytes:
    """*asked* as the vault keeps it, without what has become the options already if that is much."""
    packed = msgspec.json.encode(asked)
    if len(packed) > LARGEST_REQUEST:
        packed = msgspec.json.encode(msgspec.structs.replace(asked, body={}))
    if len(packed) > LARGEST_REQUEST:
        packed = msgspec.json.encode(msgspec.structs.replace(asked, body={}, headers=()))
    return packed
