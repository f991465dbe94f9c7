"""Pages of the documentation that are made of the code: what they say is what there is.

`write(folder)` makes them; docs/conf.py calls it before every build.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

import msgspec

from hubbub import sections
from hubbub.domain.message import Event
from hubbub.domain.scope_tree import DESCRIPTIONS
from hubbub.honoured import HONOURED, SECRET
from hubbub.views import VIEWS
from hubbub_api import openapi
from hubbub_api.event_models import HIDDEN
from hubbub_api.tables import TABLES

SHAPES: dict[str, type[msgspec.Struct]] = {
    "JupyterHub": sections.Hub,
    "Hubbub": sections.Ours,
    "PeriodicMetricsCollector": sections.Periodic,
}


def write(folder: Path) -> None:
    """Into *folder*, which is made; a page whose text is the same is not touched."""
    folder.mkdir(exist_ok=True)
    pages = {"options": options(), "events": events(), "scopes": scopes(), "rest": rest()}
    for name, lines in pages.items():
        page, text = folder / f"{name}.md", "\n".join(lines) + "\n"
        if not page.exists() or page.read_text() != text:
            page.write_text(text)


OPTIONS = """\
# All options

Those that have an effect in this release; what they mean is told in [configuration](../configuration.md).
"""
EVENTS = """\
# All events

What the log holds, by what it happened to. How they are read: [events](../events.md).
*sealed*: under the key of the person, and gone with it. *hidden*: never leaves the log.
"""
SCOPES = """\
# All scopes

What a token, a role or a login can be allowed to do. Each may be held for some only: `read:users!group=staff`.
"""
REST = """\
# All of the REST API

Addresses below `/hub/api`. A hub describes its own at `/hub/api-docs`, with bodies and answers.
How to use it: [REST API](../rest-api.md).
"""


def options() -> Iterator[str]:
    yield OPTIONS
    for section, names in HONOURED.items():
        yield f"\n## c.{section}\n"
        shape = SHAPES.get(section)
        if shape is None:
            yield ", ".join(f"`{name}`{' (a secret)' if name in SECRET else ''}" for name in sorted(names))
            continue
        known = {field.name: field for field in msgspec.structs.fields(shape)}
        rows = [(f"`{name}`", _type(known[name].type), _default(known[name])) for name in sorted(names)]
        yield from _table(("option", "type", "default"), rows)


def events() -> Iterator[str]:
    yield EVENTS
    for view in VIEWS.values():
        yield f"\n## {view.decider.name}\n"
        for kind in _kinds(view.decider.events):
            fields = msgspec.structs.fields(kind)
            yield f"\n### {kind.__name__}\n\n{_words(kind)}\n"
            rows = [(f"`{field.name}`", _type(field.type), _marks(kind, field)) for field in fields]
            yield from _table(("field", "type", ""), rows)


def scopes() -> Iterator[str]:
    yield SCOPES
    yield from _table(("scope", "what"), [(f"`{scope}`", words) for scope, words in DESCRIPTIONS.items()])


def rest() -> Iterator[str]:
    yield REST
    document = openapi.document(TABLES, "/hub/")
    for tag in document["tags"]:
        yield f"\n## {tag['name']}\n\n{tag['description']}\n"
        rows = [
            (f"`{method.upper()} {path}`", operation["summary"], _scopes(operation))
            for path, operations in document["paths"].items()
            for method, operation in operations.items()
            if operation["tags"] == [tag["name"]]
        ]
        yield from _table(("request", "what", "one of these scopes"), rows)


def _scopes(operation: dict[str, Any]) -> str:
    return ", ".join(f"`{scope}`" for scope in operation.get("x-scopes", ()))


def _kinds(union: Any) -> Sequence[type[Event]]:
    return get_args(union) or (union,)


def _words(kind: type[Event]) -> str:
    return " ".join((kind.__doc__ or "").split()).replace("<", "&lt;")


def _marks(kind: type[Event], field: msgspec.structs.FieldInfo) -> str:
    marks = []
    if field.name in kind.personal:
        marks.append("*sealed*")
    if field.name in HIDDEN:
        marks.append("*hidden*")
    if not field.required:
        marks.append(f"or {_default(field)}")
    return ", ".join(marks)


def _type(kind: Any) -> str:
    text = kind.__name__ if isinstance(kind, type) and not get_args(kind) else str(kind)
    for prefix in ("typing.", "hubbub.domain.", "hubbub.", "datetime."):
        text = text.replace(prefix, "")
    return f"`{text.partition('[')[2].partition(',')[0] if text.startswith('Annotated') else text}`"


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.default is not msgspec.NODEFAULT:
        return f"`{field.default!r}`"
    return f"`{field.default_factory()!r}`" if field.default_factory is not msgspec.NODEFAULT else ""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    rows = list(rows)
    if not rows:
        return
    yield from (_row(head), _row(["---"] * len(head)))
    yield from (_row(row) for row in rows)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|').replace(chr(10), ' ') for cell in cells)} |"
