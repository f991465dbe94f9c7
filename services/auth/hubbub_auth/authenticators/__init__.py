"""Which authenticator the operator's configuration asks for."""

from importlib import import_module
from typing import Any

from traitlets import TraitError

from hubbub.config import SECRET, ConfigError, Options
from hubbub_auth.authenticators.authenticator import Authenticator
from hubbub_auth.authenticators.dummy import DummyAuthenticator
from hubbub_auth.authenticators.shared_password import SharedPasswordAuthenticator

OURS: dict[str, type[Authenticator]] = {
    "dummy": DummyAuthenticator,
    "shared-password": SharedPasswordAuthenticator,
    "jupyterhub.auth.DummyAuthenticator": DummyAuthenticator,
    "jupyterhub.auth.SharedPasswordAuthenticator": SharedPasswordAuthenticator,
    "jupyterhub.authenticators.shared.SharedPasswordAuthenticator": SharedPasswordAuthenticator,
}
LATER = ("pam", "default", "null")


def make(options: Options) -> Authenticator:
    """The authenticator, configured. Raises ConfigError with a sentence that names what is wrong."""
    kind = find(options.hub.authenticator_class)
    try:
        authenticator = kind(config=options.traits)
    except TraitError as error:
        raise ConfigError(f"c.{kind.__name__}: {_without_secrets(str(error), kind, options)}") from None
    named = {*authenticator.admin_users, *options.hub.admin_users}
    authenticator.admin_users = {authenticator.normalize_username(str(name)) for name in named}
    authenticator.allowed_users = {authenticator.normalize_username(str(n)) for n in authenticator.allowed_users}
    return authenticator


def _without_secrets(text: str, kind: type[Authenticator], options: Options) -> str:
    """The library repeats a value that it refuses."""
    for section in (each.__name__ for each in kind.__mro__):
        for name, value in options.traits.get(section, {}).items():
            if name in SECRET:
                text = text.replace(str(value), "...")
    return text


def find(wanted: Any) -> type[Authenticator]:
    """The class that *wanted* is or names."""
    if isinstance(wanted, str):
        return OURS[wanted] if wanted in OURS else _ours(_imported(wanted), wanted)
    return _ours(wanted, getattr(wanted, "__name__", repr(wanted)))


def _ours(found: Any, name: str) -> type[Authenticator]:
    if isinstance(found, type) and issubclass(found, Authenticator):
        return found
    dotted = f"{getattr(found, '__module__', '')}.{getattr(found, '__qualname__', '')}"
    if dotted in OURS:
        return OURS[dotted]
    raise ConfigError(
        f"c.JupyterHub.authenticator_class is {name}, which is not a subclass of "
        f"{Authenticator.__module__}.{Authenticator.__name__}; JupyterHub's own come with a later release"
    )


def _imported(name: str) -> Any:
    if name in LATER:
        raise ConfigError(
            f"c.JupyterHub.authenticator_class is {name!r}, which comes with a later release; "
            f"there are {_names()}, and classes of your own"
        )
    module, _, attribute = name.rpartition(".")
    if not module:
        raise ConfigError(f"c.JupyterHub.authenticator_class is {name!r}, which is unknown; there are {_names()}")
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"c.JupyterHub.authenticator_class is {name!r}, which cannot be imported: {error}") from error


def _names() -> str:
    return " and ".join(repr(name) for name in OURS if "." not in name)


__all__ = ["OURS", "Authenticator", "DummyAuthenticator", "SharedPasswordAuthenticator", "find", "make"]
