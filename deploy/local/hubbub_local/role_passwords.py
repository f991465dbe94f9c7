"""The passwords of the services' roles in Postgres, each of which may have a coming one beside that of now."""

from hubbub.schema.migrations import ROLES
from hubbub_local import keys
from hubbub_local.folder import Folder


def coming(folder: Folder, role: str) -> str:
    """Empty if its password does not change."""
    return keys.value(folder, f"postgres-next {role}")


def begin(folder: Folder) -> None:
    """Choose the next ones. Nobody has them yet."""
    keys.put(folder, {f"postgres-next {role}": keys.new_hex() for role in ROLES if not coming(folder, role)})


def end(folder: Folder) -> None:
    """The coming ones are those of now."""
    keys.put(folder, {f"postgres {role}": found for role in ROLES if (found := coming(folder, role))})
    keys.drop(folder, [f"postgres-next {role}" for role in ROLES])
