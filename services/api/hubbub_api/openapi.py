"""GET /openapi.json: what the API takes and answers, made of the endpoints that are routed and their Structs."""

import hashlib
import inspect
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, get_origin

import msgspec
from aiohttp import web

from hubbub import JUPYTERHUB_VERSION, __version__
from hubbub.domain.scope_tree import BUILT_IN, DESCRIPTIONS
from hubbub.web import cookies
from hubbub_api.answers import PAGINATION
from hubbub_api.endpoint import Endpoint, Endpoints
from hubbub_api.idempotency import HEADER, LONGEST_KEY, MUTATING
from hubbub_api.json_schemas import Schema, Schemas, fields
from hubbub_api.schemas import Error, Paged

routes = Endpoints("hub")

JSON = "application/json"

ABOUT = f"""\
Everything that can be done with the hub, for programs. It is the API of JupyterHub {JUPYTERHUB_VERSION}, and some more.

Send a token as `Authorization: token <token>` (or `Bearer <token>`). What it may do is the scopes it has; each \
operation names those of which one is enough. A scope may be held for some only, e.g. `read:users!group=staff`: \
whatever is outside of that is not found (404). An answer leaves out what its asker may not see.

Lists come in pages (`offset`, `limit`). With `Accept: {PAGINATION}` a page comes in an envelope that tells the total \
and the address of the next one.

A request that changes something may carry an `{HEADER}`: whoever sends it again with the same key gets the first \
outcome, and there is no second effect.

Names in paths are quoted as one segment each. Times are UTC, `2026-11-20T21:48:00.123456Z`."""

TAGS: Mapping[str, str] = {
    "identity": "Who is asking.",
    "users": "People, and what the hub knows of them.",
    "servers": "The servers of people: a default one, which has no name but paths of its own, and perhaps named ones.",
    "tokens": "Tokens: secrets with which programs act for a person.",
    "sessions": "Browsers that are logged in, and logins that were.",
    "groups": "Groups of people, what they hold together, and what is kept about them.",
    "shares": "Who else may use a server.",
    "share-codes": "Codes that give whoever opens them a share of a server.",
    "services": "Programs that work beside the hub, and act with scopes of their own.",
    "operation": "How the hub is run: pauses, the banner, workers, pools.",
    "plug-ins": "What plug-ins of JupyterHub expect to find.",
    "events": "What has happened, and who did it.",
    "hub": "The hub itself: its version, its health, its routes, its end.",
    "oauth2": "How servers and services learn who visits them (RFC 6749, authorization code with PKCE).",
}

#: What a name in a path stands for.
NAMES: Mapping[str, str] = {
    "user": "A user's name.",
    "owner": "The name of a server's owner.",
    "server": "A server's name.",
    "server_id": "A server's id, as the list of orphans tells it.",
    "attempt": "The number of a start.",
    "group": "A group's name.",
    "service": "A service's name.",
    "worker": "A worker's name.",
    "id": "A token's id, as `a12`.",
    "session": "A session's id, as `s12`: not the one in the browser's cookie.",
    "token": "A token.",
}

REFUSALS: Mapping[int, str] = {
    400: "The request makes no sense; `message` says why.",
    403: "Nobody is known by these credentials, or none of their scopes is one of those needed.",
    404: "There is no such thing, or it is not for the asker to see.",
    405: "This cannot be done to such a thing.",
    409: "There is one already.",
    410: "There is no such place in this log: it is another one, ends before, or begins later.",
    413: "The body is too large.",
    422: f"This `{HEADER}` was used for another request.",
    429: "A limit has been reached. `Retry-After`, if it is there, says in how many seconds to try again.",
    500: "It was tried, and failed.",
    502: "The login service did not answer.",
    503: "What this takes cannot be reached, and nothing is known to have been changed; or, with `Retry-After`, starts "
    "are paused.",
}
#: Those of any endpoint that somebody must be known for; the others look at the address alone.
USUAL = (400, 403, 404, 413, 503)
USUAL_IF_OPEN = (400,)

SECURITY_SCHEMES: Schema = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "description": "A token, as `Authorization: Bearer <token>` or `Authorization: token <token>`.",
        "x-scopes": {name: DESCRIPTIONS[name] for name in BUILT_IN},
    },
    "cookie": {
        "type": "apiKey",
        "in": "cookie",
        "name": cookies.LOGIN,
        "description": "The login of a browser. A token, if there is one, goes first.",
    },
    "xsrf": {
        "type": "apiKey",
        "in": "header",
        "name": "X-XSRFToken",
        "description": "The value of the cookie `_xsrf`, set by the hub's pages: a login counts for nothing without.",
    },
}
IDEMPOTENCY: Schema = {
    "name": HEADER,
    "in": "header",
    "description": "Chosen by whoever asks, anew for each thing wanted: with it a request may be repeated for a day.",
    "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY},
}

_PART = re.compile(r"{(\w+)(?::[^{}]*)?}")
_SENTENCE_ENDS = re.compile(r"(?<=\.) (?=[A-Z`0-9])")


@dataclass(frozen=True, eq=False)
class Published:
    document: Schema
    body: bytes
    etag: str


PUBLISHED = web.AppKey("openapi", Published)


def publish(tables: Iterable[Endpoints], hub_prefix: str) -> Published:
    found = document(tables, hub_prefix)
    body = msgspec.json.encode(found)
    return Published(found, body, hashlib.sha256(body).hexdigest()[:16])


@routes.get("/openapi.json", open=True, answers={200: dict[str, Any], 304: None})
async def show(request: web.Request) -> web.Response:
    """Shows this document. It is the same until the hub is of another release, or has another address."""
    published = request.app[PUBLISHED]
    headers = {"ETag": f'"{published.etag}"', "Cache-Control": "no-cache"}
    if any(tag.value in (published.etag, "*") for tag in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    return web.Response(body=published.body, content_type=JSON, headers=headers)


def document(tables: Iterable[Endpoints], hub_prefix: str) -> Schema:
    """OpenAPI 3.1. ValueError if two Structs share a name."""
    schemas = Schemas()
    paths: dict[str, Schema] = {}
    refused = {str(status): _refusal(schemas, status) for status in REFUSALS}
    for endpoint in (each for table in tables for each in table):
        operations = paths.setdefault(path_of(endpoint), {})
        operations.setdefault(endpoint.method.lower(), _operation(schemas, endpoint))
    used = {operation["tags"][0] for operations in paths.values() for operation in operations.values()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Hubbub",
            "version": __version__,
            "description": ABOUT,
            "license": {"name": "BSD-3-Clause", "identifier": "BSD-3-Clause"},
            "x-jupyterhub-version": JUPYTERHUB_VERSION,
        },
        "servers": [{"url": f"{hub_prefix}api"}],
        "tags": [{"name": name, "description": words} for name, words in TAGS.items() if name in used],
        "paths": paths,
        "security": [{"token": []}, {"cookie": [], "xsrf": []}],
        "components": {
            "schemas": dict(sorted(schemas.components.items())),
            "parameters": {HEADER: IDEMPOTENCY},
            "responses": refused,
            "securitySchemes": SECURITY_SCHEMES,
        },
    }


def path_of(endpoint: Endpoint) -> str:
    return _PART.sub(r"{\1}", endpoint.path) or "/"


def _operation(schemas: Schemas, endpoint: Endpoint) -> Schema:
    summary, description = _words(endpoint)
    found: Schema = {
        "operationId": "_".join([endpoint.method.lower(), *re.findall(r"\w+", path_of(endpoint))]),
        "tags": [endpoint.tag],
        "summary": summary,
        "description": description,
        "parameters": _parameters(endpoint),
        "responses": _responses(schemas, endpoint),
    }
    if endpoint.body is not None:
        found["requestBody"] = _body(schemas, endpoint)
    if endpoint.scopes:
        found["x-scopes"] = list(endpoint.scopes)
    if endpoint.deprecated:
        found["deprecated"] = True
    if endpoint.open:
        found["security"] = []
    return {key: value for key, value in found.items() if value or key == "security"}


def _words(endpoint: Endpoint) -> tuple[str, str]:
    """The first sentence of the handler's docstring, and the rest with what the declaration says."""
    text = " ".join(inspect.cleandoc(endpoint.handler.__doc__ or "").split())
    first, *rest = _SENTENCE_ENDS.split(text, maxsplit=1)
    if endpoint.scopes:
        several = "one of the scopes" if len(endpoint.scopes) > 1 else "the scope"
        rest.append(f"Needs {several} {', '.join(f'`{scope}`' for scope in endpoint.scopes)}.")
    return first.removesuffix("."), "\n\n".join(rest)


def _parameters(endpoint: Endpoint) -> list[Schema]:
    found = []
    kind = ""
    for segment in path_of(endpoint).split("/"):
        if not segment.startswith("{"):
            kind = segment
            continue
        name = segment.strip("{}")
        text: Schema = {"type": "string", "minLength": 1}
        words = NAMES.get(name) or f"One of the {kind}, by name."
        found.append({"name": name, "in": "path", "required": True, "description": words, "schema": text})
    for name, schema, required in fields(endpoint.query) if endpoint.query else ():
        words = schema.pop("description")
        found.append({"name": name, "in": "query", "required": required, "description": words, "schema": schema})
    if _takes_key(endpoint):
        found.append({"$ref": f"#/components/parameters/{HEADER}"})
    return found


def _takes_key(endpoint: Endpoint) -> bool:
    return endpoint.method in MUTATING and not endpoint.open


def _body(schemas: Schemas, endpoint: Endpoint) -> Schema:
    schema = schemas.taken(endpoint.body) if endpoint.takes == JSON else schemas.form(endpoint.body)
    return {"required": schemas.needed(schema), "content": {endpoint.takes: {"schema": schema}}}


def _responses(schemas: Schemas, endpoint: Endpoint) -> Schema:
    usual = [*(USUAL_IF_OPEN if endpoint.open else USUAL), *([422] if _takes_key(endpoint) else [])]
    answers = {**dict.fromkeys(usual), **endpoint.answers}
    return {str(status): _response(schemas, endpoint, status, answers[status]) for status in sorted(answers)}


def _response(schemas: Schemas, endpoint: Endpoint, status: int, kind: Any) -> Schema:
    if kind is None and status in REFUSALS:
        return {"$ref": f"#/components/responses/{status}"}
    words = REFUSALS.get(status) or HTTPStatus(status).phrase
    if kind is None:
        return {"description": f"{words}, without a body."}
    if status == HTTPStatus.OK and _in_pages(endpoint):
        return _page(schemas, kind)
    content = {endpoint.content: {"schema": schemas.answered(kind)}}
    if status in REFUSALS:
        # Whoever stands before the handler refuses as ever.
        content.setdefault(JSON, {"schema": schemas.answered(Error)})
    return {"description": words, "content": content}


def _in_pages(endpoint: Endpoint) -> bool:
    """Whether the list comes bare or in an envelope, as it is asked for."""
    names = {name for name, _, _ in fields(endpoint.query)} if endpoint.query else set()
    return {"offset", "limit"} <= names and get_origin(endpoint.answers[200]) is not Paged


def _page(schemas: Schemas, kind: Any) -> Schema:
    """Its Content-Type is that of all our answers, however it is asked for: so it is with JupyterHub."""
    bare, wrapped = schemas.answered(kind), schemas.answered(Paged[kind])
    return {
        "description": f"One page; in an envelope with `Accept: {PAGINATION}`, which is then sent as `{JSON}`.",
        "content": {JSON: {"schema": {"anyOf": [bare, wrapped]}}, PAGINATION: {"schema": wrapped}},
    }


def _refusal(schemas: Schemas, status: int) -> Schema:
    return {"description": REFUSALS[status], "content": {JSON: {"schema": schemas.answered(Error)}}}
