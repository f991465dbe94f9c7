"""jupyterhub-ldapauthenticator, unmodified, with a real slapd."""

from collections.abc import Iterator

import pytest
from rigs.ldap import ADMIN, ADMIN_PASSWORD, PEOPLE, LdapRig

from login_abilities import Keeping
from login_suite import CAST, RIGHT, Kind, LoginSuite

pytestmark = pytest.mark.system

CONFIG = """
c.JupyterHub.authenticator_class = "ldap"
c.LDAPAuthenticator.server_address = "127.0.0.1"
c.LDAPAuthenticator.server_port = {port}
c.LDAPAuthenticator.tls_strategy = "insecure"
"""


@pytest.fixture(scope="class")
def everybody(ldap: LdapRig) -> Iterator[LdapRig]:
    ldap.people(CAST, RIGHT)
    yield ldap
    ldap.forget(*CAST)


class TestByTemplate(LoginSuite):
    """People are bound as themselves, at once."""

    @pytest.fixture(scope="class")
    @classmethod
    def kind(cls, everybody: LdapRig) -> Kind:
        lines = f"c.LDAPAuthenticator.bind_dn_template = ['uid={{username}},{PEOPLE}']\n"
        return Kind(config=CONFIG.format(port=everybody.port) + lines)


class TestByLookup(Keeping, LoginSuite):
    """Somebody who may read everything looks for them first; what is known of them becomes their auth state."""

    @pytest.fixture(scope="class")
    @classmethod
    def kind(cls, everybody: LdapRig) -> Kind:
        lines = f"""
c.LDAPAuthenticator.lookup_dn = True
c.LDAPAuthenticator.lookup_dn_search_user = {ADMIN!r}
c.LDAPAuthenticator.lookup_dn_search_password = {ADMIN_PASSWORD!r}
c.LDAPAuthenticator.lookup_dn_user_dn_attribute = "cn"
c.LDAPAuthenticator.user_search_base = {PEOPLE!r}
c.LDAPAuthenticator.user_attribute = "uid"
c.LDAPAuthenticator.auth_state_attributes = ["mail"]
c.Authenticator.enable_auth_state = True
"""
        return Kind(config=CONFIG.format(port=everybody.port) + lines, secret="@example.org")
