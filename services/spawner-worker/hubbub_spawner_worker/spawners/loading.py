"""From what `c.JupyterHub.spawner_class` says to a class, and the part of the configuration that is for it."""

import importlib
from typing import Any

import structlog
from traitlets.config import Config

from hubbub_spawner_worker.spawners.local import LocalProcessSpawner, SimpleLocalProcessSpawner
from hubbub_spawner_worker.spawners.spawner import Spawner

log = structlog.get_logger()

_KNOWN: dict[str, type[Spawner]] = {
    "simple": SimpleLocalProcessSpawner,
    "simplelocalprocess": SimpleLocalProcessSpawner,
    "localprocess": LocalProcessSpawner,
    "jupyterhub.spawner.SimpleLocalProcessSpawner": SimpleLocalProcessSpawner,
    "jupyterhub.spawner.LocalProcessSpawner": LocalProcessSpawner,
}

_LISTS = ("cmd", "args", "shell_cmd")
"""Where configurations have a single word, too, without a list around it."""


class NoSpawner(Exception):
    """c.JupyterHub.spawner_class cannot be used."""


def load_class(wanted: Any) -> type[Spawner]:
    """*wanted*: a class, its dotted name, or a short name. Raises NoSpawner with a sentence that names it."""
    found = wanted
    if isinstance(wanted, str):
        found = _KNOWN.get(wanted) or _imported(wanted)
    elif isinstance(wanted, type):
        found = _KNOWN.get(f"{wanted.__module__}.{wanted.__qualname__}", wanted)
    if isinstance(found, type) and issubclass(found, Spawner):
        return found
    raise NoSpawner(
        f"c.JupyterHub.spawner_class = {_named(wanted)}: it is not derived from hubbub_spawner_worker.spawners.Spawner"
        " (JupyterHub's own spawner classes come with a later release)"
    )


def its_config(kind: type[Spawner], config: Config) -> Config:
    """*config* without the options that *kind* does not have: named in a warning now, not at every start."""
    found: Config = config.copy()  # type: ignore[assignment]  # its annotation says dict
    traits = kind.class_traits(config=True)
    for section in kind.section_names():
        if section not in config:
            continue
        kept = found[section] = config[section].copy()
        for name, value in config[section].items():
            if name not in traits and not isinstance(value, Config):
                log.warning("spawner.option_unknown", option=f"c.{section}.{name}", spawner=kind.__name__)
                del kept[name]
            elif name in _LISTS and isinstance(value, str):
                kept[name] = [value]
    return found


def _imported(name: str) -> Any:
    module, _, attribute = name.rpartition(".")
    if not module:
        raise NoSpawner(f"c.JupyterHub.spawner_class = {name!r}: there is no spawner of that name")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise NoSpawner(f"c.JupyterHub.spawner_class = {name!r}: {error}") from error


def _named(wanted: Any) -> str:
    return f"{wanted.__module__}.{wanted.__qualname__}" if isinstance(wanted, type) else repr(wanted)
