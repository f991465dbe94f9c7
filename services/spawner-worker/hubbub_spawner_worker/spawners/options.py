"""What people choose for their server: from a form or a query to options, and from options to the spawner."""

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hubbub.plugin import settled
from hubbub_spawner_worker.refusals import words_of
from hubbub_spawner_worker.spawners.exception import SpawnException

if TYPE_CHECKING:
    from hubbub_spawner_worker.spawners.spawner import Spawner


# From a form ----------------------------------------------------------------------------


def passthrough(form: Mapping[str, list[Any]]) -> Mapping[str, list[Any]]:
    """`options_from_form = "passthrough"`: each field stays a list of texts."""
    return form


def simple(form: Mapping[str, list[Any]]) -> dict[str, Any]:
    """`options_from_form = "simple"`: a single text stands alone, and "on", which a ticked box says, is true."""
    return {name: _alone(values[0]) if len(values) == 1 else values for name, values in form.items()}


def _alone(value: Any) -> Any:
    return True if value == "on" else value


def takes_spawner(function: Any) -> bool:
    """Whether it has a parameter of that name."""
    try:
        return "spawner" in inspect.signature(function).parameters
    except (TypeError, ValueError):  # not everything built in tells
        return False


# To the spawner -------------------------------------------------------------------------


async def apply(spawner: "Spawner", options: dict[str, Any]) -> None:
    """As `apply_user_options` says. Raises SpawnException with status 400, or what has a status of its own."""
    wanted = spawner.apply_user_options
    try:
        if isinstance(wanted, dict):
            _apply_by_name(spawner, wanted, options)
        elif wanted:
            await settled(wanted(spawner, options))
        elif options:
            _unhandled(spawner, options)
    except Exception as error:
        if hasattr(error, "status_code"):
            raise
        spawner.log.exception("the user options of %s cannot be applied", spawner.log_name)
        raise SpawnException(f"Invalid user options: {words_of(error)}", reason="options") from error


def _apply_by_name(spawner: "Spawner", attributes: Mapping[str, str], options: Mapping[str, Any]) -> None:
    """*attributes*: by option."""
    _unhandled(spawner, options.keys() - attributes.keys())
    for option, value in options.items():
        if option not in attributes:
            continue
        attribute = attributes[option]
        if hasattr(spawner, attribute):
            _set(spawner, attribute, value)
        else:
            spawner.log.error("apply_user_options: %s has no attribute %r", type(spawner).__name__, attribute)


def _set(spawner: "Spawner", attribute: str, value: Any) -> None:
    """Also from a text where a number is wanted: forms know nothing else."""
    try:
        setattr(spawner, attribute, value)
    except Exception:
        trait = spawner.traits().get(attribute)
        if trait is None or not isinstance(value, str):
            raise
        try:
            converted = trait.from_string(value)
        except Exception:
            converted = None
        if converted is None:
            raise  # what was wrong with the text says more
        setattr(spawner, attribute, converted)


def _unhandled(spawner: "Spawner", options: Any) -> None:
    if options:
        names = ", ".join(sorted(map(str, options)))
        spawner.log.warning("nothing looks at these user options of %s: %s", spawner.log_name, names)


# By group -------------------------------------------------------------------------------


async def override_by_group(spawner: "Spawner") -> None:
    """As `group_overrides` says for the groups that the user is in. Raises ValueError for what is no override."""
    found = spawner.group_overrides
    overrides = await settled(found(spawner)) if callable(found) else found
    groups = {group.name for group in spawner.user.groups}
    for key in sorted(overrides or {}):
        wanted, changes = _parts(key, overrides[key])
        if groups.isdisjoint(wanted):
            continue
        spawner.log.info("group override %s for %s: %s", key, spawner.log_name, " ".join(changes))
        for attribute, value in changes.items():
            _override(spawner, attribute, await settled(value(spawner)) if callable(value) else value)


def _parts(key: str, override: Any) -> tuple[list[str], dict[str, Any]]:
    match override:
        case {"groups": list() | tuple() | set() | frozenset() as groups, "spawner_override": dict(changes)}:
            return list(groups), changes
        case _:
            raise ValueError(f"group_overrides[{key!r}] needs 'groups', a list, and 'spawner_override', a dictionary")


def _override(spawner: "Spawner", attribute: str, value: Any) -> None:
    """Dictionaries are merged. Set anew, not changed in place: somebody else may have the old one, too."""
    old = getattr(spawner, attribute, None)
    setattr(spawner, attribute, merged(old, value) if isinstance(value, dict) and isinstance(old, dict) else value)


def merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """*new* over *old*, all the way down; None takes a key away."""
    found = dict(old)
    for key, value in new.items():
        if isinstance(value, dict):
            below = found.get(key)
            found[key] = merged(below if isinstance(below, dict) else {}, value)
        elif value is None:
            found.pop(key, None)
        else:
            found[key] = value
    return found
