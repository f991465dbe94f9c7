"""LDAP directories: people log in with the passwords that they have there."""

from hubbub_auth.authenticators.ldap.authenticator import LDAPAuthenticator

__all__ = ["LDAPAuthenticator"]
