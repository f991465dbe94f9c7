"""The configured authenticator, as far as it has a say in starts and stops."""

from importlib.metadata import entry_points
from typing import Any

from jupyterhub.auth import Authenticator
from traitlets.config import Config
from traitlets.utils.importstring import import_item

_HOOKS = ("pre_spawn_start", "post_spawn_stop")


def authenticator_of(wanted: Any, config: Config) -> Authenticator | None:
    """One of the class *wanted*, if that is a classic one that does something before a start or after a stop."""
    kind = _class_of(wanted)
    if kind is None or all(getattr(kind, hook) is getattr(Authenticator, hook) for hook in _HOOKS):
        return None
    return kind(config=config)


def _class_of(wanted: Any) -> type[Authenticator] | None:
    found = wanted
    if isinstance(wanted, str):
        named = entry_points(group="jupyterhub.authenticators", name=wanted)
        try:
            found = next(iter(named)).load() if named else import_item(wanted) if "." in wanted else None
        except ImportError:
            return None  # the auth service says so, and does not start
    return found if isinstance(found, type) and issubclass(found, Authenticator) else None
