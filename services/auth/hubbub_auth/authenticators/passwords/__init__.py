"""A table of people and their passwords, in the hub itself, with pages to sign up and to administer it."""

from hubbub_auth.authenticators.passwords.authenticator import PasswordAuthenticator

__all__ = ["PasswordAuthenticator"]
