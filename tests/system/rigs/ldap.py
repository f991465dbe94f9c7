"""A real slapd, as a plain process, with people and groups in it."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from ldap3 import MODIFY_ADD, MODIFY_DELETE, Connection, Server
from ldap3.core.exceptions import LDAPExceptionError

from hubbub.free_port import free_port
from rigs.ground import Ground, daemon, run, until

BASE = "dc=example,dc=org"
PEOPLE, GROUPS = f"ou=people,{BASE}", f"ou=groups,{BASE}"
ADMIN, ADMIN_PASSWORD = f"cn=admin,{BASE}", "password-of-the-directory"

_CONFIG = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {room}/slapd.pid
argsfile {room}/slapd.args
database mdb
suffix {base}
rootdn {admin}
rootpw {password}
directory {room}/data
access to attrs=userPassword by anonymous auth by * none
access to * by users read by * none
"""
#: A group has a member at least.
_TREE = """
dn: {base}
objectClass: dcObject
objectClass: organization
dc: example
o: example

dn: {people}
objectClass: organizationalUnit
ou: people

dn: {groups}
objectClass: organizationalUnit
ou: groups
"""


@dataclass(frozen=True)
class LdapRig:
    """`port` on 127.0.0.1, without TLS; `tls_port` speaks it from the beginning. Anonymous people may only bind."""

    port: int
    tls_port: int = 0

    def person(self, name: str, password: str) -> None:
        attributes = {"cn": name, "sn": name, "uid": name, "mail": f"{name}@example.org", "userPassword": password}
        with self._open() as connection:
            assert connection.add(dn_of(name), ["inetOrgPerson"], attributes), connection.result

    def forget(self, *names: str) -> None:
        """Those who are there, with their memberships."""
        for name in names:
            self.regroup(name, [])
            with self._open() as connection:
                connection.delete(dn_of(name))

    def regroup(self, name: str, groups: Sequence[str]) -> None:
        """Let somebody be in *groups* and in no others."""
        with self._open() as connection:
            for group in groups:
                connection.add(_group(group), ["groupOfNames"], {"member": ADMIN})
            connection.search(GROUPS, "(objectClass=groupOfNames)", attributes=["cn", "member"])
            for entry in connection.entries:
                inside, wanted = dn_of(name) in entry.member.values, str(entry.cn) in groups
                if inside != wanted:
                    change = (MODIFY_ADD if wanted else MODIFY_DELETE, [dn_of(name)])
                    assert connection.modify(entry.entry_dn, {"member": [change]}), connection.result

    def people(self, names: Iterable[str], password: str) -> None:
        for name in names:
            self.person(name, password)

    def answers(self) -> bool:
        try:
            with self._open():
                return True
        except LDAPExceptionError:
            return False

    def _open(self) -> Connection:
        return Connection(Server("127.0.0.1", self.port), ADMIN, ADMIN_PASSWORD, auto_bind=True)


def dn_of(name: str) -> str:
    return f"uid={name},{PEOPLE}"


def _group(name: str) -> str:
    return f"cn={name},{GROUPS}"


@contextmanager
def ldap_rig(ground: Ground, name: str = "ldap", settings: str = "") -> Iterator[LdapRig]:
    """*settings*: more lines of its configuration, before the others: for TLS."""
    room = ground.room(name)
    (room / "data").mkdir()
    config, tree = room / "slapd.conf", room / "tree.ldif"
    config.write_text(settings + _CONFIG.format(room=room, base=BASE, admin=ADMIN, password=ADMIN_PASSWORD))
    tree.write_text(_TREE.format(base=BASE, people=PEOPLE, groups=GROUPS))
    run("/usr/sbin/slapadd", "-q", "-f", config, "-l", tree)
    rig = LdapRig(free_port(), free_port() if settings else 0)
    urls = f"ldap://127.0.0.1:{rig.port}" + (f" ldaps://127.0.0.1:{rig.tls_port}" if settings else "")
    with daemon(room, "/usr/sbin/slapd", "-d", "0", "-f", config, "-h", urls) as runs:
        until(rig.answers, 20, "slapd answers", runs)
        yield rig
