"""JSON Schemas of what endpoints take and answer, made of the very Structs that decode and encode it."""

from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Any, Union, get_args, get_origin

import msgspec

from hubbub_api.schemas import Paged, Pagination

Schema = dict[str, Any]
PLACE = "#/components/schemas/"


class Schemas:
    """Schemas for one document. `components`: the Structs met so far by name; ValueError if two share one."""

    def __init__(self) -> None:
        self.components: dict[str, Schema] = {}

    def answered(self, kind: Any) -> Schema:
        """Of what we encode: a field is there unless it can be left out (UNSET), and more may come some day."""
        return self._of(kind, _complete)

    def taken(self, kind: Any) -> Schema:
        """Of a JSON body, in which no other names than the Struct's may stand (`answers.asked`)."""
        schema = self._of(kind, dict)
        for name in _named(schema):
            self.components[name]["additionalProperties"] = False
        return schema

    def form(self, kind: Any) -> Schema:
        """Of a form, in which other names are not looked at."""
        return self._of(kind, dict)

    def needed(self, schema: Schema) -> bool:
        """Whether an empty body, which is taken for an empty object, would be refused."""
        if "anyOf" in schema:
            return all(self.needed(part) for part in schema["anyOf"])
        named = [self.components[name] for name in _named(schema)]
        return any(part.get("required") or part.get("minProperties") for part in (schema, *named))

    def _of(self, kind: Any, finish: Any) -> Schema:
        # msgspec decodes no unions of Structs, and gives generic ones names that nobody can say.
        if get_origin(kind) in (Union, UnionType):
            return {"anyOf": [self._of(part, finish) for part in get_args(kind)]}
        if get_origin(kind) is Paged:
            return self._page(get_args(kind)[0], finish)
        (schema,), components = msgspec.json.schema_components([kind], ref_template=f"{PLACE}{{name}}")
        for name, component in components.items():
            self._add(name, finish(component))
        return schema

    def _page(self, items: Any, finish: Any) -> Schema:
        properties = {"items": self._of(items, finish), "_pagination": self._of(Pagination, finish)}
        return {"type": "object", "properties": properties, "required": list(properties)}

    def _add(self, name: str, component: Schema) -> None:
        component.pop("title", None)
        known = self.components.setdefault(name, component)
        if {**known, "additionalProperties": None} != {**component, "additionalProperties": None}:
            raise ValueError(f"Two shapes of what the API takes and answers are called {name}")


def fields(shape: Any) -> Iterator[tuple[str, Schema, bool]]:
    """Of a query: each field's name, its schema, and whether it must be there. `null` means that it need not."""
    found = msgspec.json.schema(shape)
    [whole] = found["$defs"].values()
    for name, schema in whole["properties"].items():
        plain = _without_null(schema)
        plain.setdefault("description", whole.get("description", ""))
        yield name, plain, name in whole["required"]


def _without_null(schema: Schema) -> Schema:
    plain = {key: value for key, value in schema.items() if key != "anyOf" and (key, value) != ("default", None)}
    if "anyOf" not in schema:
        return plain
    parts = [part for part in schema["anyOf"] if part != {"type": "null"}]
    return {**plain, **parts[0]} if len(parts) == 1 else {**plain, "anyOf": parts}


def _complete(component: Schema) -> Schema:
    """A default of ours is sent like any other value."""
    properties: Mapping[str, Schema] = component.get("properties", {})
    always = [name for name, field in properties.items() if "default" in field or name in component["required"]]
    sent = {name: {k: v for k, v in field.items() if k != "default"} for name, field in properties.items()}
    return {**component, "properties": sent, "required": always} if properties else dict(component)


def _named(schema: Schema) -> list[str]:
    """The components that *schema* itself is, not those of its parts."""
    parts = [schema, *schema.get("anyOf", ())]
    return [part["$ref"].removeprefix(PLACE) for part in parts if "$ref" in part]
