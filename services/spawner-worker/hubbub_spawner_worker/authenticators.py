"""The configured authenticator, as far as it has a say in starts and stops: whoever's class it is.

Told by what it defines, and not asked of the auth service's code, nor of JupyterHub's, which need not be here.
"""

from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

import structlog
from traitlets.config import Config

log = structlog.get_logger()

_HOOKS = ("pre_spawn_start", "post_spawn_stop")

#: Where the hooks are that do nothing, and those that do something with `open_sessions`.
_PLAIN = frozenset(
    {("jupyterhub.auth", "Authenticator"), ("hubbub_auth.authenticators.authenticator", "Authenticator")}
)
_PAM = frozenset({("jupyterhub.auth", "PAMAuthenticator"), ("hubbub_auth.authenticators.pam", "PAMAuthenticator")})

_PAM_NAMES = frozenset({"pam", "default", "jupyterhub.auth.PAMAuthenticator"})
_PAM_SECTIONS = ("Authenticator", "LocalAuthenticator", "PAMAuthenticator")
_JUPYTERHUBS = ("jupyterhub.auth.", "jupyterhub.authenticators.")


def may_have_a_say(wanted: Any, config: Config) -> bool:
    """False if what `c.JupyterHub.authenticator_class` says is known to have no hooks. Imports nothing."""
    name = _dotted(wanted) if isinstance(wanted, str) else wanted
    if isinstance(name, str):
        if _is_pam(name):
            return _opens_sessions(config)
        return "." in name and not name.startswith(_JUPYTERHUBS)
    return isinstance(name, type) and bool(_definers(name) - _PLAIN)


class Unmade:
    """In the place of one that could not be made: no start goes on without its hooks. What runs can be stopped."""

    def __init__(self, why: Exception) -> None:
        self._why = why

    def pre_spawn_start(self, user: Any, spawner: Any) -> None:
        raise self._why

    def post_spawn_stop(self, user: Any, spawner: Any) -> None:
        raise self._why


def authenticator_of(wanted: Any, config: Config) -> Any:
    """One of the class *wanted*, or of that name, if it does something before a start or after a stop; else None."""
    if not may_have_a_say(wanted, config):
        return None
    kind = _class_of(wanted)
    definers = _definers(kind) if isinstance(kind, type) else set()
    if not definers - _PLAIN:
        return None
    try:
        made = kind(config=config)
    except Exception as error:  # it may be the operator's own
        log.exception("worker.authenticator_unmade", wanted=kind.__name__)
        return Unmade(error)
    return made if definers - _PLAIN - _PAM or made.open_sessions else None


def _class_of(wanted: Any) -> Any:
    if not isinstance(wanted, str):
        return wanted
    name = _dotted(wanted)
    if _is_pam(name):
        from hubbub_spawner_worker.classic.authenticator import PAMAuthenticator

        return PAMAuthenticator
    module, _, attribute = name.rpartition(".")
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        # The auth service, which cannot do without, says so and does not start.
        log.warning("worker.no_authenticator", wanted=name, why=str(error))
        return None


def _dotted(name: str) -> str:
    """The dotted name that a short one stands for, if a package has announced it."""
    announced = (each for each in entry_points(group="jupyterhub.authenticators") if each.name.lower() == name.lower())
    return next((f"{each.module}.{each.attr}" for each in announced), name)


def _is_pam(name: str) -> bool:
    return name in _PAM_NAMES or name.lower() in _PAM_NAMES


def _opens_sessions(config: Config) -> bool:
    return any(config.get(section, {}).get("open_sessions") for section in _PAM_SECTIONS)


def _definers(kind: type[Any]) -> set[tuple[str, str]]:
    """The classes, by module and name, that the hooks of *kind* are from."""
    found = (next((base for base in kind.__mro__ if hook in vars(base)), None) for hook in _HOOKS)
    return {(base.__module__, base.__qualname__) for base in found if base is not None}
