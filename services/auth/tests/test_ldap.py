"""What is said of a directory, and what is typed. With a real one: tests/system/test_login_ldap.py."""

import pytest
from traitlets.config import Config

from hubbub.config import ConfigError, Options
from hubbub_auth.authenticators import LDAPAuthenticator, configured
from hubbub_auth.authenticators.ldap.spelling import in_dn, in_filter, naming_attribute, own_spelling, password_of

LDAP = {"server_address": "ldap.example.org", "bind_dn_template": "uid={username},dc=example,dc=org"}
LOOKUP = {"lookup_dn": True, "user_search_base": "dc=example", "user_attribute": "uid"}


@pytest.mark.parametrize(
    ("section", "named"),
    [
        ({"server_address": ""}, "server_address has to name"),
        ({"server_address": "ldap://ldap.example.org/x"}, "'ldap://ldap.example.org/x', which is not"),
        ({"server_address": ["a:b"]}, "'a:b', which is not"),
        ({"bind_dn_template": []}, "either bind_dn_template"),
        ({"bind_dn_template": "uid={user},dc=x"}, "there may be username only"),
        ({"bind_dn_template": "uid={username,dc=x"}, "bind_dn_template is 'uid={username,dc=x'"),
        ({"lookup_dn": True}, "lookup_dn needs user_search_base"),
        ({"search_filter": "(a=b)"}, "search_filter needs user_search_base"),
        (LOOKUP | {"lookup_dn_search_user": "cn=x"}, "needs lookup_dn_search_password"),
        ({"group_search_filter": "(member={dn})"}, "there may be uid and userdn only"),
        ({"manage_groups": True}, "manage_groups needs group_search_base"),
        ({"tls_strategy": "sometimes"}, "tls_strategy"),
        ({"tls_kwargs": {"nonsense": 1}}, "tls_kwargs cannot be used"),
        ({"tls_kwargs": {"ca_certs_file": "/nowhere"}}, "tls_kwargs cannot be used"),
        ({"valid_username_regex": "("}, "no regular expression"),
    ],
)
def test_a_directory_that_cannot_be_meant_is_named_at_the_start(section, named):
    config = {"JupyterHub": {"authenticator_class": "hubbub-ldap"}, "LDAPAuthenticator": LDAP | section}
    with pytest.raises(ConfigError) as error:
        configured.make(Options(Config(config)))
    assert named in str(error.value)
    assert "c.LDAPAuthenticator" in str(error.value)


@pytest.mark.parametrize(
    ("section", "servers"),
    [
        ({"server_address": "a"}, [("a", 389)]),
        ({"server_address": ["a", "b:1", "[::1]:2"]}, [("a", 389), ("b", 1), ("::1", 2)]),
        ({"server_address": "a", "tls_strategy": "on_connect"}, [("a", 636)]),
        ({"server_address": "a", "use_ssl": True}, [("a", 636)]),
        ({"server_address": ["a", "b:1"], "server_port": 3}, [("a", 3), ("b", 1)]),
    ],
)
def test_where_a_directory_is(section, servers):
    config = {"JupyterHub": {"authenticator_class": "hubbub-ldap"}, "LDAPAuthenticator": LDAP | section}
    assert configured.make(Options(Config(config))).directory.servers == servers


def test_the_password_of_whoever_looks_people_up_is_not_repeated():
    section = LDAP | {"lookup_dn_search_password": 123456789}
    config = {"JupyterHub": {"authenticator_class": "hubbub-ldap"}, "LDAPAuthenticator": section}
    with pytest.raises(ConfigError) as error:
        configured.make(Options(Config(config)))
    assert "123456789" not in str(error.value)


@pytest.mark.parametrize("password", ["", " ", "\u00ad", "\u200d", "\u00a0 ", "\0", "\x07x", "\ud800"])
def test_nothing_is_no_password(password):
    """Nor what comes to nothing on its way (RFC 4013): many directories let anybody be nobody by that."""
    assert password_of(password) == b""


@pytest.mark.parametrize(("typed", "sent"), [("open sesame", b"open sesame"), ("é", "é".encode()), ("a\u00adb", b"ab")])
def test_a_password_is_sent_as_the_standard_wants_it(typed, sent):
    assert password_of(typed) == sent


@pytest.mark.parametrize(
    ("typed", "values", "found"),
    [
        ("ada", ["ada"], "ada"),
        ("ADA", ["ada"], "ada"),
        ("\uff41da", ["ada"], "ada"),
        ("mary  ann", ["bob", "Mary Ann"], "Mary Ann"),
        ("a\u00adda", ["ada"], "ada"),
        ("countess", ["ada", "countess"], "countess"),
        ("DOMAIN.ada", [], "DOMAIN.ada"),
        ("ada", ["somebody"], "ada"),
        ("\uff41da", [], None),
        ("mary  ann", [], None),
        ("\u0430da", ["ada"], None),  # a Cyrillic one
    ],
)
def test_names_are_spelled_as_the_directory_has_them(typed, values, found):
    assert own_spelling(typed, values) == found


def test_what_is_typed_is_a_value_and_nothing_else():
    assert in_filter("a*)(uid=\\\0") == r"a\2a\29\28uid=\5c\00"
    assert in_dn(r'#a,b+c"d\e<f>;g=h ') == r"\#a\,b\+c\"d\\e\<f\>\;g\=h\ "


def test_the_naming_attribute_is_seen_in_a_template():
    assert naming_attribute(["{username}@example.org", "uid={username},dc=x"]) == "uid"
    assert naming_attribute(["cn=people+uid={username},dc=x"]) == ""


def test_it_is_found_by_its_name():
    config = {"JupyterHub": {"authenticator_class": "hubbub-ldap"}, "LDAPAuthenticator": LDAP}
    assert type(configured.make(Options(Config(config)))) is LDAPAuthenticator
