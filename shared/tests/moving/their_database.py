"""Databases as a JupyterHub would have them, made up: people with tokens, servers and groups, as many as wanted."""

import hashlib
import json
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hubbub.moving.their_schema import STATEMENTS

MADE = "2024-05-06 07:08:09.000123"
USED = "2025-01-02 03:04:05.000000"
#: JupyterHub makes it by itself.
SHARE_CODES = "create table share_codes (id integer primary key, hashed text)"


def hashed(token: str, rounds: int = 1, salt: str = "0123456789abcdef") -> str:
    """As JupyterHub keeps it."""
    found = hashlib.sha512(salt.encode())
    for _ in range(rounds):
        found.update(token.encode())
    return f"sha512:{rounds}:{salt}:{found.hexdigest()}"


def token_of(number: int) -> str:
    return f"{number:04x}-token-of-{number}"


class TheirDatabase:
    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = sqlite3.connect(path)
        for statement in (*STATEMENTS, SHARE_CODES):
            self._file.execute(statement)

    def add(self, table: str, **columns: Any) -> None:
        values = [json.dumps(value) if isinstance(value, dict | list) else value for value in columns.values()]
        marks = ", ".join("?" for _ in columns)
        self._file.execute(f"insert into {table} ({', '.join(columns)}) values ({marks})", values)

    def people(self, numbers: Iterable[int]) -> None:
        """Each with a token and a server; the odd ones are in a group."""
        if not self._file.execute("select 1 from groups").fetchall():
            self.add("groups", id=1, name="odd", properties={"room": "B"})
            self.add("roles", id=1, name="user", scopes=["self"], managed_by_auth=False)
            self.add("oauth_clients", id=1, identifier="jupyterhub")
        for number in numbers:
            about = {"created": MADE, "last_activity": USED, "cookie_id": f"cookie-{number}"}
            self.add("users", id=number, name=f"user-{number}", admin=number == 1, **about)
            self.add("user_role_map", user_id=number, role_id=1, managed_by_auth=False)
            self.add("spawners", id=number, user_id=number, name="lab", state={}, user_options={"size": number})
            if number % 2:
                self.add("user_group_map", user_id=number, group_id=1)
            self.token(number, token_of(number))
        self.save()

    def token(self, user: int, text: str, rounds: int = 1, **more: Any) -> None:
        about = {"client_id": "jupyterhub", "note": "of old", "scopes": ["inherit"], "created": MADE, **more}
        self.add("api_tokens", user_id=user, hashed=hashed(text, rounds), prefix=text[:4], **about)

    def save(self) -> None:
        self._file.commit()

    def rows(self, table: str) -> list[dict[str, Any]]:
        found = self._file.execute(f"select * from {table}")
        return [dict(zip((column[0] for column in found.description), row, strict=True)) for row in found]
