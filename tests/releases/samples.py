"""What a release says on the bus and writes into its log, as bytes; and whether it reads what another one does.

    python samples.py fields         prints the fields of each event: {"Class": ["field", ...]}
    python samples.py write          prints a sample of everything: {"module.Class": ["{...}", ...]}
    python samples.py read <samples  prints what this release cannot read of them, or reads otherwise:
                                     {"module.Class": "why"}

It is run with the packages of one release or another in PYTHONPATH, so it knows nothing of any of them but where such
classes are: messages in `hubbub.rpc` and `hubbub.*_messages`, events and states in `hubbub.domain`.
"""

import importlib
import json
import pkgutil
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from msgspec import inspect

TIME = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
NOT_SENT = ("hubbub.domain.message", "hubbub.domain.scope")


def classes() -> dict[str, type[msgspec.Struct]]:
    """By their full names."""
    import hubbub
    import hubbub.domain

    names = [f"hubbub.{each.name}" for each in pkgutil.iter_modules(hubbub.__path__)]
    names = [name for name in names if name == "hubbub.rpc" or name.endswith("_messages")]
    names += [f"hubbub.domain.{each.name}" for each in pkgutil.iter_modules(hubbub.domain.__path__)]
    found = {}
    for name in names:
        if name in NOT_SENT:
            continue
        for each in vars(importlib.import_module(name)).values():
            if isinstance(each, type) and issubclass(each, msgspec.Struct) and each.__module__ == name:
                found[f"{name}.{each.__name__}"] = each
    return found


def samples(kind: type[msgspec.Struct]) -> list[str]:
    """Every field says something, and every member of a union has its turn."""
    return [msgspec.json.encode(value).decode() for value in _values(inspect.type_info(kind), ())]


def _values(kind: inspect.Type, inside: tuple[type, ...]) -> list[Any]:
    match kind:
        case inspect.StructType(cls=cls, fields=fields):
            if cls in inside:
                return []
            each = {field.name: _values(field.type, (*inside, cls)) for field in fields}
            each = {name: values for name, values in each.items() if values}
            most = max([1, *(len(values) for values in each.values())])
            turns = [{name: values[turn % len(values)] for name, values in each.items()} for turn in range(most)]
            return [cls(**turn) for turn in turns]
        case inspect.UnionType(types=types):
            return [value for each in types for value in _values(each, inside) if value is not None]
        case inspect.LiteralType(values=values):
            return list(values)
        case inspect.ListType(item_type=item):
            return [[value] for value in _values(item, inside)]
        case inspect.VarTupleType(item_type=item) | inspect.CollectionType(item_type=item):
            return [(value,) for value in _values(item, inside)]
        case inspect.SetType(item_type=item) | inspect.FrozenSetType(item_type=item):
            return [{value} for value in _values(item, inside)]
        case inspect.TupleType(item_types=items):
            return [tuple(_values(item, inside)[0] for item in items)]
        case inspect.DictType(key_type=key, value_type=value):
            return [{_values(key, inside)[0]: each} for each in _values(value, inside)]
        case _:
            return [_PLAIN.get(type(kind), "anything")]


_PLAIN: dict[type[inspect.Type], Any] = {
    inspect.NoneType: None,
    inspect.BoolType: True,
    inspect.IntType: 7,
    inspect.FloatType: 7.5,
    inspect.StrType: "text",
    inspect.BytesType: b"bytes",
    inspect.DateTimeType: TIME,
    inspect.TimeDeltaType: timedelta(seconds=7),
}


def write() -> dict[str, list[str]]:
    return {name: samples(kind) for name, kind in sorted(classes().items())}


def read(others: dict[str, list[str]]) -> dict[str, str]:
    """*others*: what `write` printed. Classes that this release has not are nobody's business here."""
    wrong = {}
    known = classes()
    for name in others.keys() & known.keys():
        for text in others[name]:
            try:
                value = msgspec.json.decode(text, type=known[name])
            except (msgspec.MsgspecError, ValueError) as error:
                wrong[name] = f"{error} in {text}"
                continue
            if difference := _difference(json.loads(text), json.loads(msgspec.json.encode(value)), known[name]):
                wrong[name] = f"{difference} in {text}"
    return wrong


def _difference(said: Any, understood: Any, kind: type[msgspec.Struct]) -> str:
    """The first field that both know and that says something else; nothing of the deeper ones is looked at."""
    fields = {field.encode_name for field in msgspec.structs.fields(kind)}
    for name in fields & said.keys():
        if not isinstance(said[name], dict | list) and said[name] != understood.get(name):
            return f"{name} is understood as {understood.get(name)!r}"
    return ""


def fields() -> dict[str, list[str]]:
    """Of each type of event."""
    from hubbub.domain.message import Event

    events = [each for each in classes().values() if issubclass(each, Event)]
    return {each.__name__: [field.encode_name for field in msgspec.structs.fields(each)] for each in events}


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["write"]:
            print(json.dumps(write(), indent=1))
        case ["read"]:
            print(json.dumps(read(json.load(sys.stdin))))
        case ["fields"]:
            print(json.dumps(fields()))
        case _:
            sys.exit(__doc__)
