"""The page of the REST API: its OpenAPI document as people read it."""

import re
from functools import lru_cache
from typing import Any

import jinja2
import msgspec
from aiohttp import web
from markupsafe import Markup, escape

from hubbub.web.pages import ENVIRONMENT, render
from hubbub.web.request import identify
from hubbub_api.json_schemas import PLACE, Schema
from hubbub_api.openapi import PUBLISHED, Published

_CODE = re.compile(r"`([^`]+)`")
#: What an operation need not have.
_BARE: Schema = {"summary": "", "description": "", "parameters": [], "requestBody": None, "deprecated": False}
#: What a schema says of a value besides its type.
_LIMITS = {
    "minimum": "from {}",
    "maximum": "to {}",
    "maxLength": "{} characters at most",
    "minItems": "at least {}",
    "maxItems": "{} at most",
}


async def show(request: web.Request) -> web.StreamResponse:
    identity = await identify(request, pages=True)
    return render(request, "api_docs.html", identity, whole=_whole(request.app[PUBLISHED], request.app[ENVIRONMENT]))


@lru_cache(maxsize=2)
def _whole(published: Published, environment: jinja2.Environment) -> Markup:
    """All but the frame: it is the same for everybody, and anybody may ask for it."""
    document = published.document
    operations = [
        {**_BARE, **operation, "method": method.upper(), "path": path}
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    text = environment.get_template("_api_docs.html").render(
        document=document,
        server=document["servers"][0]["url"],
        scopes=document["components"]["securitySchemes"]["token"]["x-scopes"],
        groups=[(tag, [each for each in operations if tag["name"] in each["tags"]]) for tag in document["tags"]],
        resolved=lambda part: _resolved(document, part),
        kind=_kind,
        limits=_limits,
        prose=_prose,
        line=_line,
    )
    return Markup(text)  # noqa: S704 - the template has escaped what is in it


def _resolved(document: Schema, part: Schema) -> Schema:
    """What a `$ref` in *part* points at."""
    found = part
    if "$ref" in part:
        found = document
        for name in part["$ref"].removeprefix("#/").split("/"):
            found = found[name]
    return found


def _prose(text: str) -> Markup:
    """Paragraphs, with code between backticks."""
    return Markup("").join(Markup("<p>{}</p>").format(_line(part)) for part in text.split("\n\n") if part)


def _line(text: str) -> Markup:
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 - has just been escaped


def _kind(schema: Schema) -> Markup:
    """The type in words, e.g. `list of User, or null`, Structs being links."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(PLACE)
        return Markup('<a href="#schema-{0}">{0}</a>').format(name)
    if "anyOf" in schema:
        return Markup(", or ").join(_kind(part) for part in schema["anyOf"])
    if "enum" in schema:
        return Markup(", ").join(Markup("<code>{}</code>").format(_said(value)) for value in schema["enum"])
    kind = schema.get("type", "anything")
    if isinstance(kind, list):
        return Markup(", or ").join(_kind({**schema, "type": each}) for each in kind)
    if kind == "array":
        return Markup("list of {}").format(_kind(schema.get("items", {})))
    if kind == "object":
        return _kind_of_object(schema)
    return escape(kind)


def _kind_of_object(schema: Schema) -> Markup:
    if schema.get("properties") == {}:
        return Markup("empty object")
    if "properties" in schema:
        parts = [Markup("<code>{}</code>: {}").format(name, _kind(part)) for name, part in schema["properties"].items()]
        return Markup("object with {}").format(Markup(", ").join(parts))
    values = schema.get("additionalProperties")
    return Markup("object of {} by name").format(_kind(values)) if isinstance(values, dict) else Markup("object")


def _limits(schema: Schema) -> str:
    """Of a value: what it may be besides its type, and what it is unless told."""
    parts = [schema, *schema.get("anyOf", ())]
    found = [words.format(part[key]) for part in parts for key, words in _LIMITS.items() if key in part]
    if schema.get("default") is not None:
        found.append(f"unless told: {_said(schema['default'])}")
    return ", ".join(found)


def _said(value: Any) -> str:
    return msgspec.json.encode(value).decode()
