"""People as handlers of classic authenticators look them up."""

from collections.abc import Callable
from typing import Any

from tornado.web import HTTPError

from hubbub_auth.person import Person

#: By a name, or a number as JupyterHub has ids; None if there is nobody.
Find = Callable[[str | int], Person | None]


class Users:
    """Stands where JupyterHub has its dictionary of all users. Nobody is made or deleted by it."""

    def __init__(self, find: Find) -> None:
        self._find = find

    def get(self, key: Any, default: Any = None) -> Any:
        """*key*: a name, an id, or something that has one of them."""
        wanted = key if isinstance(key, str | int) else getattr(key, "name", None)
        found = None if wanted is None else self._find(wanted)
        return default if found is None else found

    def __getitem__(self, key: Any) -> Any:
        if (found := self.get(key)) is None:
            raise KeyError(key)
        return found

    def __contains__(self, key: object) -> bool:
        return self.get(key) is not None

    def add(self, row: Any) -> Any:
        return self[row]

    def delete(self, key: Any) -> None:
        """Servers, tokens and much else go with somebody: an administrator has to ask the hub for it."""
        raise HTTPError(409, f"{getattr(key, 'name', key)} is a user of the hub, too: delete them on its admin page.")

    __delitem__ = delete
