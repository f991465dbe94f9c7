"""Scopes, roles, groups and services of the configuration: what cannot be meant is named, the rest is read."""

from typing import Any

import pytest
from traitlets.config import Config

from hubbub.config import ConfigError, Options
from hubbub.declared import SERVICE_KEYS, DeclaredGroup


def hub(**options: Any) -> Options:
    return Options(Config({"JupyterHub": options}))


ROLE = {"name": "teacher", "scopes": ["read:hub"]}
SERVICE = {"name": "cull", "api_token": "token-of-the-culler"}

BAD = [
    ("custom_scopes", {"lab": {"description": "x"}}, "c.JupyterHub.custom_scopes: Invalid scope name 'lab'"),
    ("custom_scopes", {"custom:lab": {}}, "c.JupyterHub.custom_scopes: custom:lab"),
    ("extra_user_scopes", {"read:hub", "nothing"}, "c.JupyterHub.extra_user_scopes: there is no scope 'nothing'"),
    ("load_roles", [ROLE, {"name": "x!"}], "c.JupyterHub.load_roles[1]: Invalid role name 'x!'"),
    ("load_roles", [{**ROLE, "scope": []}], "c.JupyterHub.load_roles[0]: Role teacher: unknown key 'scope'"),
    ("load_roles", [{**ROLE, "scopes": ["no"]}], "c.JupyterHub.load_roles[0]: Role teacher: there is no scope 'no'"),
    ("load_roles", [{**ROLE, "scopes": ["custom:lab"]}], "there is no scope 'custom:lab'"),
    ("load_roles", [{**ROLE, "users": ["a/b"]}], "c.JupyterHub.load_roles[0]: Invalid username: 'a/b'"),
    ("load_roles", [{**ROLE, "groups": [".."]}], "c.JupyterHub.load_roles[0]: Invalid group name: '..'"),
    ("load_roles", [{**ROLE, "services": ["cull"]}], "role teacher: c.JupyterHub.services has no service 'cull'"),
    ("load_roles", [ROLE, ROLE], "c.JupyterHub.load_roles: there are 2 roles of the name 'teacher'"),
    ("load_groups", {"a/b": []}, "c.JupyterHub.load_groups['a/b']: Invalid group name: 'a/b'"),
    ("load_groups", {"class": "ada"}, "c.JupyterHub.load_groups['class']: Expected `array`, got `str`"),
    ("load_groups", {"class": {"user": []}}, "c.JupyterHub.load_groups['class']: Object contains unknown field `user`"),
    ("load_groups", {"class": {"properties": []}}, "c.JupyterHub.load_groups['class']: Expected `object | null`"),
    ("load_groups", {"class": {"properties": {"a": object()}}}, "c.JupyterHub.load_groups['class']: "),
    ("load_groups", {"class": {"properties": {"a": "x" * 70_000}}}, "properties are 65536 bytes of JSON at most"),
    ("load_groups", {"class": [" "]}, "c.JupyterHub.load_groups['class']: Invalid username: ''"),
    ("services", [{**SERVICE, "colour": 1}], "c.JupyterHub.services[0]: unknown key 'colour' of service cull"),
    ("services", [{**SERVICE, "admin": "yes"}], "c.JupyterHub.services[0]: admin of service cull: Expected `bool"),
    ("services", [{"name": "a/b"}], "c.JupyterHub.services[0]: Invalid service name: 'a/b'"),
    ("services", [{"name": ".."}], "c.JupyterHub.services[0]: Invalid service name: '..'"),
    ("services", [SERVICE, {"name": "cull"}], "c.JupyterHub.services: there are 2 services of the name 'cull'"),
    (
        "services",
        [{**SERVICE, "oauth_client_allowed_scopes": ["no"]}],
        "c.JupyterHub.services[0]: oauth_client_allowed_scopes: there is no scope 'no'",
    ),
    ("admin_users", {"a/b"}, "admin_users: Invalid username: 'a/b'"),
    ("api_tokens", {"token-of-somebody": "a/b"}, "c.JupyterHub.api_tokens: Invalid username: 'a/b'"),
]


@pytest.mark.parametrize(("option", "value", "said"), BAD)
def test_what_cannot_be_meant_is_named(option: str, value: Any, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        hub(**{option: value})
    assert said in str(error.value)
    assert "token-of" not in str(error.value)


def test_every_key_of_a_service_may_be_there_and_may_be_left_out() -> None:
    examples: dict[Any, Any] = {str: "x", bool: True, float: 30, list[str]: ["read:hub"], dict[str, Any]: {"a": "b"}}
    said = {key: examples.get(kind, "x") for key, kind in SERVICE_KEYS.items()}
    said |= {"api_token": "x" * 8, "url": "http://127.0.0.1:1", "oauth_client_id": "service-x"}
    said |= {"oauth_redirect_uri": "http://127.0.0.1:1/back"}
    assert hub(services=[said]).hub.services == [said]
    assert hub(services=[{"name": "y", **dict.fromkeys(SERVICE_KEYS.keys() - {"name"})}])


def test_groups_are_read_in_both_spellings() -> None:
    groups = hub(
        load_groups={"a": ["Ada", "bob", "ada "], "b": {"properties": {"x": 1}}, "c": {"users": ("eve",)}}
    ).groups
    assert groups == {
        "a": DeclaredGroup(users=["ada", "bob"]),
        "b": DeclaredGroup(properties={"x": 1}),
        "c": DeclaredGroup(users=["eve"]),
    }


def test_roles_may_name_whoever_has_a_token_of_the_configuration_and_scopes_of_the_operators_own() -> None:
    assert hub(
        custom_scopes={"custom:lab": {"description": "x"}},
        extra_user_scopes={"custom:lab"},
        service_tokens={"token-of-the-culler": "cull"},
        load_roles=[{"name": "lab", "scopes": ["custom:lab!user=ada"], "services": ["cull"]}],
    )


@pytest.mark.parametrize("section", ["Authenticator", "DummyAuthenticator"])
def test_groups_are_the_authenticators_alone_where_it_manages_them(section: str) -> None:
    config = {"JupyterHub": {"authenticator_class": "dummy", "load_groups": {"class": []}}}
    with pytest.raises(ConfigError, match=r"c.JupyterHub.load_groups is set, but the authenticator manages groups"):
        Options(Config({**config, section: {"manage_groups": True}}))
    assert Options(Config({**config, "PAMAuthenticator": {"manage_groups": True}})).groups.keys() == {"class"}
