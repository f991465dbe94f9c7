"""What a browser says about the options of a server that is to start, as workers are asked about it."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from aiohttp import web
from aiohttp.web_request import FileField

from hubbub.access import Identity
from hubbub.form_messages import File, FormAsked, WebRequest
from hubbub.rpc import Person
from hubbub.web.posted import posted
from hubbub.web.request import ApiError, browser_origin, client_address
from hubbub_api.keys import VIEWS
from hubbub_api.rows import ServerRow, UserRow

Fields = dict[str, list[str]]

#: Fields of ours in every form; and the one of a mere Start button, which is no options form.
XSRF, OFFER = "_xsrf", "_offer"

#: Arguments of the address that are meant for the hub.
_RESERVED = frozenset({"next", "display_name", XSRF})
_PREFIX = "opt-"

#: A browser's secrets, and the hub's own.
_SECRET = frozenset({"cookie", "authorization", "proxy-authorization", "x-xsrftoken", "x-csrftoken"})
_OURS = "x-hubbub-"

#: Bytes of headers that a worker is told.
_HEADERS = 10_000


def from_query(request: web.Request) -> Fields:
    """The options in the address: `?opt-name=value`, or as clients of old send them, without the prefix."""
    said: Fields = {}
    for name, value in request.query.items():
        if name not in _RESERVED:
            said.setdefault(name, []).append(value)
    if _PREFIX in said:
        raise ApiError(422, f"Invalid user-option name {_PREFIX}")
    prefixed = {name.removeprefix(_PREFIX): values for name, values in said.items() if name.startswith(_PREFIX)}
    return prefixed or said


async def from_form(request: web.Request) -> tuple[Fields, dict[str, list[File]]]:
    """The fields of a form and the files in it."""
    fields: Fields = {}
    files: dict[str, list[File]] = {}
    for name, value in (await posted(request)).items():
        if isinstance(value, FileField):
            body = await asyncio.to_thread(value.file.read)
            files.setdefault(name, []).append(File(filename=value.filename, content_type=value.content_type, body=body))
        elif name not in (XSRF, OFFER):
            # Bytes: a field for files that was left empty.
            text = value if isinstance(value, str) else bytes(value).decode(errors="replace")
            fields.setdefault(name, []).append(text)
    return fields, files


def without_options(request: web.Request) -> str:
    """The request's own address as it would be without options."""
    kept = [(name, value) for name, value in request.query.items() if name in ("next", "display_name")]
    return request.rel_url.raw_path + (f"?{urlencode(kept)}" if kept else "")


def web_request(
    request: web.Request, identity: Identity, fields: Mapping[str, Sequence[str]] | None = None
) -> WebRequest:
    scheme, host = browser_origin(request)
    return WebRequest(
        user=_person(identity.id, identity.number, identity.name, identity.groups, admin=identity.admin),
        method=request.method,
        path=request.rel_url.raw_path,
        query=_without_secret(request.rel_url.raw_query_string),
        host=host,
        protocol=scheme,
        remote_ip=client_address(request),
        headers=_headers(request),
        body={name: list(values) for name, values in (fields or {}).items()},
    )


def _headers(request: web.Request) -> tuple[tuple[str, str], ...]:
    """What nobody could misuse, as far as there is room for it: a browser's are a tenth of that."""
    found, room = [], _HEADERS
    for name, value in request.headers.items():
        size = len(name) + len(value)
        if name.lower() not in _SECRET and not name.lower().startswith(_OURS) and size <= room:
            room -= size
            found.append((str(name), value))
    return tuple(found)


def _without_secret(query: str) -> str:
    return "&".join(part for part in query.split("&") if part.partition("=")[0] != XSRF)


async def asked(
    request: web.Request, identity: Identity, owner: UserRow, row: ServerRow | None, kind: Any, **typed: Any
) -> FormAsked:
    """*typed*: `fields` and `files`. Whose server it is, and how it was started the last time, come with it."""
    views = request.app[VIEWS]
    stored = (await views.options([row])).get(row.id) if row else None
    return FormAsked(
        kind=kind,
        person=_person(owner.id, owner.number, owner.name, owner.groups, admin=owner.admin),
        groups=await views.properties(owner),
        name=request.match_info.get("name", ""),
        request=web_request(request, identity),
        options=stored or {},
        auth_state=await views.auth_state(owner),
        **typed,
    )


def _person(id: str, number: int, name: str, groups: Sequence[str], *, admin: bool) -> Person:
    return Person(id=id, number=number, name=name, admin=admin, groups=tuple(groups))
