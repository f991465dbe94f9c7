"""Which authenticator the operator's configuration asks for."""

from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from traitlets import TraitError

from hubbub.config import SECRET, ConfigError, Options
from hubbub_auth import authenticators
from hubbub_auth.authenticators.authenticator import Authenticator

OURS = {
    "default": "PAMAuthenticator",
    "dummy": "DummyAuthenticator",
    "hubbub-github": "GitHubAuthenticator",
    "hubbub-ldap": "LDAPAuthenticator",
    "hubbub-oidc": "OIDCAuthenticator",
    "hubbub-passwords": "PasswordAuthenticator",
    "null": "NullAuthenticator",
    "pam": "PAMAuthenticator",
    "shared-password": "SharedPasswordAuthenticator",
    "jupyterhub.auth.DummyAuthenticator": "DummyAuthenticator",
    "jupyterhub.auth.LocalAuthenticator": "LocalAuthenticator",
    "jupyterhub.auth.NullAuthenticator": "NullAuthenticator",
    "jupyterhub.auth.PAMAuthenticator": "PAMAuthenticator",
    "jupyterhub.auth.SharedPasswordAuthenticator": "SharedPasswordAuthenticator",
    "jupyterhub.authenticators.shared.SharedPasswordAuthenticator": "SharedPasswordAuthenticator",
}
"""By these names, which configurations have for JupyterHub's own, ours are meant: they do the same. Those that
JupyterHub has not begin with `hubbub-`: other names are for packages to announce."""

_CLASSIC = ("jupyterhub.auth", "Authenticator")


def make(options: Options, postgres_url: str = "") -> Any:
    """The authenticator, configured: ours, or one derived from JupyterHub's (see `is_classic`).

    *postgres_url*: where one of those may have tables of its own. Raises ConfigError with a sentence that names what
    is wrong.
    """
    kind = find(options.hub.authenticator_class)
    try:
        authenticator = _classic(kind, options, postgres_url) if is_classic(kind) else kind(config=options.traits)
    except TraitError as error:
        raise ConfigError(f"c.{kind.__name__}: {_without_secrets(str(error), kind, options)}") from None
    named = {*authenticator.admin_users, *options.hub.admin_users}
    authenticator.admin_users = {authenticator.normalize_username(str(name)) for name in named}
    authenticator.allowed_users = {authenticator.normalize_username(str(n)) for n in authenticator.allowed_users}
    authenticator.blocked_users |= {authenticator.normalize_username(str(n)) for n in authenticator.blocked_users}
    return authenticator


def _classic(kind: type[Any], options: Options, postgres_url: str) -> Any:
    from hubbub_auth.classic import making  # JupyterHub is imported for such a class only

    return making.make(kind, options, postgres_url)


def is_classic(kind: type[Any]) -> bool:
    """Whether *kind* is derived from JupyterHub's class. Not asked of JupyterHub."""
    return any((base.__module__, base.__qualname__) == _CLASSIC for base in kind.__mro__)


def _without_secrets(text: str, kind: type[Any], options: Options) -> str:
    """The library repeats a value that it refuses."""
    for section in (each.__name__ for each in kind.__mro__):
        for name, value in options.traits.get(section, {}).items():
            if name in SECRET:
                text = text.replace(str(value), "...")
    return text


def find(wanted: Any) -> type[Any]:
    """The class that *wanted* is, or names: ours, one that a package has announced, or a dotted name."""
    found = _named(wanted) if isinstance(wanted, str) else wanted
    if isinstance(found, type) and (issubclass(found, Authenticator) or is_classic(found)):
        return found
    told = f"{wanted.__module__}.{wanted.__qualname__}" if isinstance(wanted, type) else repr(wanted)
    raise ConfigError(
        f"c.JupyterHub.authenticator_class is {told}, which is not derived from "
        f"{Authenticator.__module__}.{Authenticator.__name__}, nor from jupyterhub.auth.Authenticator"
    )


def _named(name: str) -> Any:
    if ours := OURS.get(name) or OURS.get(name.lower()):
        return getattr(authenticators, ours)
    for entry in entry_points(group="jupyterhub.authenticators"):
        if entry.name.lower() == name.lower():
            name = f"{entry.module}.{entry.attr}"
    return getattr(authenticators, OURS[name]) if name in OURS else _imported(name)


def _imported(name: str) -> Any:
    module, _, attribute = name.rpartition(".")
    if not module:
        raise ConfigError(
            f"c.JupyterHub.authenticator_class is {name!r}, which is unknown; there are {_names()}, "
            f"and what installed packages announce"
        )
    try:
        return getattr(import_module(module), attribute)
    except Exception as error:  # whatever a module may do when it is imported
        raise ConfigError(
            f"c.JupyterHub.authenticator_class is {name!r}, which cannot be imported: {type(error).__name__}: {error}"
        ) from error


def _names() -> str:
    return ", ".join(repr(name) for name in OURS if "." not in name)
