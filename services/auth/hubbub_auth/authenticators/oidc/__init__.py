"""Logins at an OpenID provider, or at GitHub: the browser goes there, and comes back with a code."""

from hubbub_auth.authenticators.oidc.github import GitHubAuthenticator
from hubbub_auth.authenticators.oidc.openid import OIDCAuthenticator

__all__ = ["GitHubAuthenticator", "OIDCAuthenticator"]
