"""The authenticators that come with the hub, and the class to derive one's own from.

Each is imported when it is asked for: with it comes the library that it is made with.
"""

from importlib import import_module
from typing import Any

_WHERE = {
    "Authenticator": "authenticator",
    "DummyAuthenticator": "dummy",
    "GitHubAuthenticator": "oidc",
    "LDAPAuthenticator": "ldap",
    "LocalAuthenticator": "local",
    "NullAuthenticator": "null",
    "OIDCAuthenticator": "oidc",
    "PAMAuthenticator": "pam",
    "PasswordAuthenticator": "passwords",
    "SharedPasswordAuthenticator": "shared_password",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
