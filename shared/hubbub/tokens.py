"""API and OAuth tokens: made from 128 random bits, known to the house only by their hash.

A plain SHA-256 is enough for what nobody can guess; passwords and tokens that people choose are never
stored this way.
"""

import hashlib
import secrets

#: Characters. A longer one never matches (contract, 3.5), so that nobody can make us hash megabytes.
LONGEST_TOKEN = 64


def new_token() -> str:
    return secrets.token_hex(16)


def token_hash(token: str) -> str:
    return f"sha256:{hashlib.sha256(token.encode()).hexdigest()}"
