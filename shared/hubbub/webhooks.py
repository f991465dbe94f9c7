"""Webhooks: whom the configuration wants to be told of what happens."""

from typing import Annotated
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_.\-]{0,63}$")]


class Webhook(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry of `c.Hubbub.webhooks`. Empty filters let everything through; `users`: names.

    `secret`: what deliveries are signed with. `timeout`: seconds that the receiver may take; `batch`: events at once.
    """

    name: Name
    url: str
    secret: Annotated[str, Meta(min_length=16)]
    types: tuple[str, ...] = ()
    aggregates: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    timeout: Annotated[float, Meta(gt=0, le=300)] = 10
    batch: Annotated[int, Meta(ge=1, le=1000)] = 100

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            known = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
        except ValueError:
            known = False
        if not known:
            raise ValueError("url: an http(s) address is needed")  # which is not repeated: there may be secrets in it

    @property
    def origin(self) -> str:
        """Where it goes, without what may be secret of it."""
        parts = urlsplit(self.url)
        host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else parts.hostname
        return f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}"
