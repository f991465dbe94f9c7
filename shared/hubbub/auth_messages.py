"""What auths tell apis: where they are, which paths are theirs, and what their authenticator wants to be asked."""

from typing import Annotated

import msgspec
from msgspec import Meta


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """The part of an authenticator's options that apis keep to.

    `refresh_age`: seconds after which it wants to be asked about somebody again; 0: it has nothing to say about that.
    `greets`: whether it wants to hear of users who are made and deleted by others.
    """

    manage_groups: bool = False
    manage_roles: bool = False
    refreshes: bool = False
    refresh_age: Annotated[float, Meta(ge=0)] = 0
    refresh_strict: bool = False
    refresh_pre_spawn: bool = False
    refresh_pre_stop: bool = False
    greets: bool = False
    delete_invalid_users: bool = False


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """One of the authenticator's, for people who hold `scope`; for everybody if that is empty."""

    title: str
    url: str
    scope: str = ""


class About(msgspec.Struct, frozen=True, kw_only=True):
    """`paths`: below the hub's prefix, to the letter. `patterns`: regular expressions for all that is below it.
    `pages`: those that people should find.

    `remembers`: its authenticator may keep things in its process from one page to the next, as those do that were
    written for a single one: as long as it runs, one of them is asked everything.
    """

    url: str
    paths: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    pages: tuple[Page, ...] = ()
    remembers: bool = False
    policy: Policy = Policy()


class Refresh(msgspec.Struct, frozen=True, kw_only=True):
    """POST internal/refresh. `user`: an id. `force`: whatever their age, ask the authenticator."""

    user: str
    force: bool = False


class Refreshed(msgspec.Struct, frozen=True, kw_only=True):
    """`fresh`: false if they have to log in again. `seconds`: for how long nobody needs to ask again."""

    fresh: bool
    seconds: float = 0


class Greet(msgspec.Struct, frozen=True, kw_only=True):
    """POST internal/users: somebody was made, or (`gone`) is about to be deleted, not by a login."""

    name: str
    user: str = ""
    gone: bool = False


class Greeted(msgspec.Struct, frozen=True, kw_only=True):
    """`refused`: why the authenticator will not have them. `invalid`: nobody can have that name."""

    refused: str = ""
    invalid: bool = False
