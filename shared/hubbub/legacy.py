"""Tokens that a JupyterHub has given out. Here, too, only a hash is known: JupyterHub's, `sha512:rounds:salt:digest`.

Which of them somebody has cannot be asked of an index but by its first characters. Once it was used, our own hash of
it is kept besides.
"""

import asyncio
import hashlib
import hmac

from hubbub.tokens import LONGEST_TOKEN, token_hash
from hubbub.vault import Fetches

#: Characters of a token that JupyterHub keeps as they are.
PREFIX = 4
#: More rounds than these would hold up everybody else. JupyterHub takes 16384 for tokens that people have chosen.
_MANY = 100


def is_legacy(hashed: str) -> bool:
    """Whether that is a hash of JupyterHub's, not of ours."""
    return hashed.count(":") == 3


def matches(hashed: str, token: str) -> bool:
    """Whether *hashed*, ours or JupyterHub's, is of that token; takes as long whatever it is."""
    if len(token) > LONGEST_TOKEN:
        return False
    if not is_legacy(hashed):
        return hmac.compare_digest(hashed, token_hash(token))
    algorithm, rounds, salt, digest = hashed.split(":")
    try:
        found = hashlib.new(algorithm, salt.encode())
        for _ in range(int(rounds)):
            found.update(token.encode())
    except ValueError:  # an algorithm that this machine has not, or no number
        return False
    return hmac.compare_digest(digest, found.hexdigest())


async def find(source: Fetches, token: str) -> bool:
    """Whether *token* is one that nobody has used yet since it came here. From now on our own hash finds it."""
    rows = await source.fetch(_UNUSED, token[:PREFIX])
    for row in rows:
        if await _is_of(row["hashed"], token):
            await source.fetch(_KNOWN, row["hashed"], token_hash(token))
            return True
    return False


async def _is_of(hashed: str, token: str) -> bool:
    rounds = hashed.split(":")[1]
    if rounds.isdigit() and int(rounds) > _MANY:
        return await asyncio.to_thread(matches, hashed, token)
    return matches(hashed, token)


_UNUSED = """
    select l.hashed from legacy_tokens l join tokens t on t.hash = l.hashed
    where l.prefix = $1 and l.known is null and (t.expires_at is null or t.expires_at > now())
"""
_KNOWN = "update legacy_tokens set known = $2 where hashed = $1"

#: The tokens of our hashes ($1), as `hash` of the view and as the hash that they were `asked` by.
ASKED = """
    (select w.hash as asked, coalesce(l.hashed, w.hash) as hash
     from unnest($1::text[]) w (hash) left join legacy_tokens l on l.known = w.hash)
"""


def created(subject: str, at: str = "e.recorded_at") -> str:
    """SQL: since when there is a *subject* (SQL, as in `activity`); *at* if it was made here."""
    return f"coalesce((select at from origins where subject = {subject}), {at})"
