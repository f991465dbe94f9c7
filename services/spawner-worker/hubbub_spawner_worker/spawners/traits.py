"""Kinds of options that traitlets does not have: a command, and a number of bytes."""

import math
from typing import Any

import traitlets

_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


class Command(traitlets.List[str]):
    """A list of words; a text alone is its first and only one. Not split: a path may hold spaces."""

    def __init__(self, default_value: Any = (), **more: Any) -> None:
        super().__init__(traitlets.Unicode(), default_value, **more)

    def validate(self, obj: Any, value: Any) -> Any:
        return super().validate(obj, [value] if isinstance(value, str) else value)


class Bytes(traitlets.Integer[Any, Any]):
    """A number of bytes, or a text such as "512M" or "1.5G": K, M, G and T are powers of 1024. None: not set."""

    def __init__(self, default_value: Any = None, **more: Any) -> None:
        super().__init__(default_value, allow_none=True, **more)

    def validate(self, obj: Any, value: Any) -> Any:
        found = bytes_of(value)
        if found is None:
            raise traitlets.TraitError(
                f"{value!r} is no size: give a number of bytes, or one with K, M, G or T after it"
            )
        return found

    def from_string(self, s: str) -> Any:
        return None if s == "None" else bytes_of(int(s) if s.isdecimal() else s)


def bytes_of(value: Any) -> int | None:
    """How many bytes *value* means; None if it means none."""
    match value:
        case bool():
            return None
        case int() | float():
            number, unit = float(value), 1
        case str() if value and value[-1] in _UNITS:
            try:
                number, unit = float(value[:-1]), _UNITS[value[-1]]
            except ValueError:
                return None
        case _:
            return None
    if not math.isfinite(number) or number < 0:
        return None
    return value if isinstance(value, int) else int(number * unit)
