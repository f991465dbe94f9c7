"""From what `c.JupyterHub.spawner_class` says to a class, and the part of the configuration that is for it."""

import importlib
from collections.abc import Iterator
from copy import deepcopy
from importlib.metadata import entry_points
from typing import Any

import structlog
from traitlets import TraitError
from traitlets.config import Config
from traitlets.config.loader import DeferredConfig, LazyConfigValue

from hubbub_spawner_worker.spawners.local import LocalProcessSpawner, SimpleLocalProcessSpawner
from hubbub_spawner_worker.spawners.spawner import Spawner

log = structlog.get_logger()

_OURS: dict[str, type[Spawner]] = {
    "default": LocalProcessSpawner,
    "localprocess": LocalProcessSpawner,
    "simple": SimpleLocalProcessSpawner,
    "simplelocalprocess": SimpleLocalProcessSpawner,
    "jupyterhub.spawner.LocalProcessSpawner": LocalProcessSpawner,
    "jupyterhub.spawner.SimpleLocalProcessSpawner": SimpleLocalProcessSpawner,
}
"""By these names, which configurations have for JupyterHub's own two, ours are meant: they do the same."""

_CLASSIC = ("jupyterhub.spawner", "Spawner")


class NoSpawner(Exception):
    """c.JupyterHub.spawner_class cannot be used."""


def load_class(wanted: Any) -> type[Any]:
    """*wanted*: a class, which is taken as it is, its dotted name, or a short name that a package has announced.

    Derived from our Spawner, or from JupyterHub's: see `is_classic`. Raises NoSpawner with a sentence that
    names it.
    """
    found = _named(wanted) if isinstance(wanted, str) else wanted
    if isinstance(found, type) and (issubclass(found, Spawner) or is_classic(found)):
        return found
    raise NoSpawner(
        f"c.JupyterHub.spawner_class = {_told(wanted)}: it is not derived from"
        " hubbub_spawner_worker.spawners.Spawner, nor from jupyterhub.spawner.Spawner"
    )


def is_classic(kind: type[Any]) -> bool:
    """Whether *kind* is one of JupyterHub's. Not asked of JupyterHub, which is imported for such a class only."""
    return any((base.__module__, base.__qualname__) == _CLASSIC for base in kind.__mro__)


def _named(name: str) -> Any:
    if ours := _OURS.get(name) or _OURS.get(name.lower()):
        return ours
    for entry in entry_points(group="jupyterhub.spawners"):
        if entry.name.lower() == name.lower():
            name = f"{entry.module}.{entry.attr}"
    return _OURS.get(name) or _imported(name)


def _imported(name: str) -> Any:
    module, _, attribute = name.rpartition(".")
    if not module:
        raise NoSpawner(f"c.JupyterHub.spawner_class = {name!r}: there is no spawner of that name")
    try:
        return getattr(importlib.import_module(module), attribute)
    except Exception as error:  # whatever a module may do when it is imported
        raise NoSpawner(f"c.JupyterHub.spawner_class = {name!r}: {type(error).__name__}: {error}") from error


def _told(wanted: Any) -> str:
    return f"{wanted.__module__}.{wanted.__qualname__}" if isinstance(wanted, type) else repr(wanted)


# Its configuration ------------------------------------------------------------------------


def its_config(kind: type[Any], config: Config) -> Config:
    """*config* without the options that *kind* does not have: named in a warning now, not at every start.

    A classic class gets all as it is.
    """
    if is_classic(kind):
        return config
    found: Config = config.copy()  # type: ignore[assignment]  # its annotation says dict
    known = kind.class_traits(config=True)
    for section in kind.section_names():
        if section in config:
            found[section] = config[section].copy()
    for section, name, _ in _options(kind, config):
        if name not in known:
            log.warning("spawner.option_unknown", option=f"c.{section}.{name}", spawner=kind.__name__)
            del found[section][name]
    return found


def _options(kind: type[Any], config: Config) -> Iterator[tuple[str, str, Any]]:
    """Section, name and value, most general section first. A section in a section is some other class's."""
    for section in kind.section_names():
        for name, value in config.get(section, {}).items():
            if not isinstance(value, Config):
                yield section, name, value


def check(kind: type[Any], config: Config) -> None:
    """Raises NoSpawner for a value that an option cannot have: else the first to be told would be who starts a server.

    By trying it out; what a classic class says to it is seen when it starts.
    """
    if is_classic(kind):
        return
    try:
        probe = kind()
    except Exception:
        return  # of the operator's own, and wants more than nothing: likewise
    for section, name, value in _options(kind, config):
        if flaw := _flaw(probe, name, value) if probe.has_trait(name) else "":
            raise NoSpawner(f"c.{section}.{name}: {flaw}")


def _flaw(probe: Any, name: str, value: Any) -> str:
    """Of *value* for that option; "" if there is none, or it cannot be told now."""
    if isinstance(value, LazyConfigValue | DeferredConfig):
        return ""
    try:
        setattr(probe, name, deepcopy(value))
    except TraitError as error:
        return str(error)
    except Exception:
        return ""  # likewise
    return ""
