"""`hubbub-ldap` with a real slapd: the suite of all authenticators, and what only a directory can do wrong."""

import asyncio
import datetime as dt
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from rigs.ground import Ground
from rigs.ldap import ADMIN, ADMIN_PASSWORD, GROUPS, PEOPLE, LdapRig, dn_of, ldap_rig
from tornado.web import HTTPError
from traitlets.config import Config

from hubbub.config import ConfigError, Options
from hubbub_auth.authenticators import configured
from hubbub_auth.authenticators.ldap.directory import Door
from hubbub_auth.person import Person
from login_abilities import Managing, Refreshing, Regrouping
from login_suite import CAST, RIGHT, WRONG, Kind, LoginSuite
from login_suite import Door as HubDoor

pytestmark = pytest.mark.system

#: People of the tests that are about the class alone.
ODD = ("Mary Ann", "o'hara", "a+b", "star*", "back\\slash", "zoë", "#1", "com,ma")


@pytest.fixture(scope="module")
def certificate(open_ground: Ground) -> Path:
    """A certificate of 127.0.0.1 by itself, and its key beside it."""
    folder = open_ground.room("ldap-tls")
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(private)
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return folder / "cert.pem"


@pytest.fixture(scope="module")
def rig(open_ground: Ground, certificate: Path) -> Iterator[LdapRig]:
    """A directory that can do TLS, with everybody in it."""
    settings = f"TLSCertificateFile {certificate}\nTLSCertificateKeyFile {certificate.parent / 'key.pem'}\n"
    with ldap_rig(open_ground, "ldap-of-ours", settings) as made:
        made.people(CAST, RIGHT)
        made.regroup("gus", ["crew", "staff"])
        yield made


def section(rig: LdapRig, certificate: Path | None, **more: Any) -> dict[str, Any]:
    """Of c.LDAPAuthenticator: people are looked up."""
    trusted = {"tls_kwargs": {"ca_certs_file": str(certificate)}} if certificate else {"tls_strategy": "insecure"}
    return {
        "server_address": f"127.0.0.1:{rig.port}",
        "lookup_dn": True,
        "lookup_dn_search_user": ADMIN,
        "lookup_dn_search_password": ADMIN_PASSWORD,
        "user_search_base": PEOPLE,
        "user_attribute": "uid",
        **trusted,
        **more,
    }


class TestLdap(Refreshing, Managing, Regrouping, LoginSuite):
    """Below the hub; the first of the servers is not there."""

    @pytest.fixture(scope="class")
    @classmethod
    def kind(cls, rig: LdapRig, certificate: Path) -> Kind:
        said = section(rig, certificate, group_search_base=GROUPS, manage_groups=True, auth_refresh_age=1)
        said["server_address"] = ["127.0.0.1:1", said["server_address"]]
        lines = "".join(f"c.LDAPAuthenticator.{name} = {value!r}\n" for name, value in said.items())
        return Kind(
            config=f"c.JupyterHub.authenticator_class = 'hubbub-ldap'\n{lines}",
            revoke=lambda _, name: rig.forget(name),
            regroup=lambda _, name, groups: rig.regroup(name, groups),
        )

    async def test_no_password_is_in_the_logs(self, door: HubDoor):
        async with door.browser() as browser:
            await door.enter(browser, "ada", "a-guess-that-nobody-else-makes")
        logs = "".join(path.read_text(errors="replace") for path in (door.hub.data / "log").glob("*.log"))
        assert "ldap.bind_refused" in logs
        for secret in (RIGHT, ADMIN_PASSWORD, "a-guess-that-nobody-else-makes"):
            assert secret not in logs


# The class alone --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def odd(rig: LdapRig) -> LdapRig:
    """The same directory, with people in it whose names look like something else."""
    from rigs.ldap import Connection, Server

    with Connection(Server("127.0.0.1", rig.port), ADMIN, ADMIN_PASSWORD, auto_bind=True) as connection:
        for number, name in enumerate(ODD):
            attributes = {"cn": str(number), "sn": "x", "uid": name, "userPassword": RIGHT}
            assert connection.add(f"cn={number},{PEOPLE}", ["inetOrgPerson"], attributes), connection.result
    return rig


def made(said: dict[str, Any], **base: Any) -> Any:
    config = {
        "JupyterHub": {"authenticator_class": "hubbub-ldap"},
        "Authenticator": {"allow_all": True, **base},
        "LDAPAuthenticator": said,
    }
    return configured.make(Options(Config(config)))


async def tried(authenticator: Any, username: str, password: str = RIGHT) -> Any:
    return await authenticator.get_authenticated_user(None, {"username": username, "password": password})


ANYTHING = {"valid_username_regex": ".*"}
BY_TEMPLATE = {"lookup_dn": False, "bind_dn_template": f"uid={{username}},{PEOPLE}", **ANYTHING}
WAYS: dict[str, dict[str, Any]] = {"looked up": ANYTHING, "by a template": BY_TEMPLATE}


@pytest.mark.parametrize("way", WAYS)
async def test_somebody_logs_in(rig: LdapRig, certificate: Path, way: str):
    said = section(rig, certificate, auth_state_attributes=["mail"], **WAYS[way])
    found = await tried(made(said), "ada")
    assert found["name"] == "ada"
    assert found["auth_state"] == {
        "ldap_groups": [],
        "user_attributes": {"mail": ["ada@example.org"]},
        "user_dn": dn_of("ada"),
    }
    assert "groups" not in found


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("password", [WRONG, "", " ", "\u00ad", "\u200d\u00ad", "\u00a0", "\0", "\x07", RIGHT + "\0"])
async def test_no_password_but_the_right_one_will_do(rig: LdapRig, certificate: Path, way: str, password: str):
    """Nor none at all: by which directories let anybody be nobody (RFC 4513, 5.1.2)."""
    assert await tried(made(section(rig, certificate, **WAYS[way])), "ada", password) is None


HOSTILE = [
    "*", "a*", "ad?", "ada)(uid=*", "*)(uid=ada", "ada)(|(uid=*", "(uid=ada)", "ada,ou=people", f"ada,{PEOPLE}",
    "ada+cn=ada", "uid=ada", dn_of("ada"), "\\61da", "ada\\", "\\", "#616461", "ada\0", "ada\nbob", "ada\x00)(uid=*",
    "{username}", "{0.__class__}", "%s", "", " ", "x" * 255, "\u202eada", "ada\ud800",
]  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", HOSTILE)
async def test_a_name_is_never_more_than_a_name(rig: LdapRig, certificate: Path, way: str, name: str):
    assert await tried(made(section(rig, certificate, **WAYS[way])), name) is None


@pytest.mark.parametrize("name", ODD)
async def test_an_odd_name_is_found_all_the_same(odd: LdapRig, certificate: Path, name: str):
    found = await tried(made(section(odd, certificate, **ANYTHING)), name)
    assert found["name"] == name.lower()
    assert await tried(made(section(odd, certificate, **ANYTHING)), name, WRONG) is None


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["ada", "ADA", "Ada", " ada ", "ａｄａ", "ＡＤＡ"])
async def test_somebody_is_one_person_however_they_spell_their_name(
    rig: LdapRig, certificate: Path, way: str, name: str
):
    """The directory takes all of these for the same: so must the hub, or who is blocked comes in by another."""
    said = section(rig, certificate, **WAYS[way])
    found = await tried(made(said), name)
    assert found["name"] == "ada"
    assert await tried(made(said, blocked_users={"ada"}), name) is None


async def test_a_name_of_two_spaces_is_that_of_one(odd: LdapRig, certificate: Path):
    assert (await tried(made(section(odd, certificate, **ANYTHING)), "mary  ANN"))["name"] == "mary ann"


async def test_names_are_checked_by_the_operators_pattern_first(rig: LdapRig, certificate: Path):
    assert await tried(made(section(rig, certificate)), "Ada") is None
    assert (await tried(made(section(rig, certificate)), "ada"))["name"] == "ada"


async def test_the_name_in_the_hub_can_be_another_attribute(odd: LdapRig, certificate: Path):
    said = section(odd, certificate, user_attribute="mail", lookup_dn_user_dn_attribute="uid")
    said |= {"valid_username_regex": ".*"}
    assert (await tried(made(said), "ADA@example.org"))["name"] == "ada@example.org"
    assert (await tried(made(said | {"use_lookup_dn_username": True}), "ADA@example.org"))["name"] == "ada"


async def test_a_search_that_fits_several_people_lets_nobody_in(rig: LdapRig, certificate: Path):
    said = section(rig, certificate, lookup_dn_search_filter="(|({login_attr}={login})(uid=bob))")
    with pytest.raises(HTTPError) as error:
        await tried(made(said), "ada")
    assert error.value.status_code == 500


async def test_who_does_not_fit_the_search_filter_is_out(rig: LdapRig, certificate: Path):
    said = section(rig, certificate, search_filter="(&({userattr}={username})(!(uid=bob)))")
    assert await tried(made(said), "ada")
    assert await tried(made(said), "bob") is None


@pytest.mark.parametrize("way", WAYS)
async def test_groups_allow_and_make_administrators(rig: LdapRig, certificate: Path, way: str):
    rig.regroup("bob", ["team", "bosses"])
    team, bosses = f"cn=team,{GROUPS}", f"cn=bosses,{GROUPS}"
    said = section(rig, certificate, allowed_groups=[team], admin_groups=[bosses], manage_groups=True, **WAYS[way])
    allowing = made(said, allow_all=False)
    found = await tried(allowing, "bob")
    assert (found["admin"], found["groups"]) == (True, ["bosses", "team"])
    assert found["auth_state"]["ldap_groups"] == [team, bosses]
    assert await tried(allowing, "ada") is None
    rig.regroup("bob", ["team"])
    assert (await tried(allowing, "bob"))["admin"] is False
    assert (await tried(made(said, allow_all=False, admin_users={"bob"}), "bob"))["admin"] is True


async def test_a_group_that_is_not_there_has_nobody_in_it(rig: LdapRig, certificate: Path):
    said = section(rig, certificate, allowed_groups=[f"cn=nothing,{GROUPS}"])
    assert await tried(made(said, allow_all=False), "ada") is None
    assert await tried(made(said, allow_all=False, allowed_users={"ada"}), "ada")


# Asking again -----------------------------------------------------------------------------


async def test_groups_and_rights_are_read_again(rig: LdapRig, certificate: Path):
    rig.person("tim", RIGHT)
    rig.regroup("tim", ["team"])
    team = f"cn=team,{GROUPS}"
    asking = made(section(rig, certificate, allowed_groups=[team], admin_groups=[team]), allow_all=False)
    tim = Person(name="tim")
    assert (await asking.refresh_user(tim))["admin"] is True
    rig.regroup("tim", [])
    assert await asking.refresh_user(tim) is False
    still = made(section(rig, certificate, admin_groups=[team]))
    assert (await still.refresh_user(tim))["admin"] is False
    rig.forget("tim")
    assert await still.refresh_user(tim) is False


async def test_by_a_template_people_are_asked_about_if_somebody_may_read(rig: LdapRig, certificate: Path):
    said = section(rig, certificate, **BY_TEMPLATE)
    assert (await made(said, username_map={"ada": "countess"}).refresh_user(Person(name="countess")))["name"]
    assert await made(said).refresh_user(Person(name="nobody")) is False
    for name in ("lookup_dn_search_user", "lookup_dn_search_password"):
        del said[name]
    assert await made(said).refresh_user(Person(name="nobody")) is True


class States:
    """What was kept at a login."""

    def __init__(self, state: dict[str, Any]) -> None:
        self.state = state

    async def load(self, user: str) -> Any:
        return self.state

    async def save(self, user: str, state: Any) -> None:
        self.state = state


async def test_people_are_found_again_by_what_was_kept_of_them(rig: LdapRig, certificate: Path):
    """Though two have one name in the hub; and what only they themselves may read is not lost."""
    said = section(rig, certificate, auth_state_attributes=["telephoneNumber"])
    asking = made(said, username_map={"ada": "bob"}, enable_auth_state=True)
    kept = {"user_dn": dn_of("ada"), "user_attributes": {"telephoneNumber": ["1"]}}
    bob = Person(name="bob", user="u1", states=States(kept))
    assert (await asking.refresh_user(bob))["auth_state"] == {"ldap_groups": [], **kept}
    gone = Person(name="bob", user="u1", states=States({"user_dn": dn_of("nobody")}))
    assert await asking.refresh_user(gone) is False


async def test_two_who_have_one_name_in_the_hub_are_not_taken_for_each_other(rig: LdapRig, certificate: Path):
    mapped = {"username_map": {"ada": "bob"}}
    with pytest.raises(HTTPError):
        await made(section(rig, certificate), **mapped).refresh_user(Person(name="bob"))


# When it is away --------------------------------------------------------------------------


async def status_of(authenticator: Any) -> HTTPError:
    with pytest.raises(HTTPError) as error:
        await tried(authenticator, "ada")
    return error.value


@contextmanager
def deaf() -> Iterator[int]:
    """A port that takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


@pytest.mark.parametrize("strategy", ["before_bind", "on_connect", "insecure"])
async def test_a_directory_that_says_nothing_costs_nobody_else_anything(rig: LdapRig, strategy: str):
    with deaf() as port:
        said = section(rig, None, server_address=f"127.0.0.1:{port}", receive_timeout=1, connect_timeout=1)
        trying = asyncio.create_task(status_of(made(said | {"tls_strategy": strategy})))
        beats = 0
        while not trying.done():
            await asyncio.sleep(0.01)
            beats += 1
    error = await trying
    assert (error.status_code, error.headers) == (503, {"Retry-After": "5"})
    assert beats > 50


async def test_another_server_is_asked_if_one_is_away_and_that_one_last_from_then_on(
    rig: LdapRig, certificate: Path, monkeypatch: pytest.MonkeyPatch
):
    asked = counted_binds(monkeypatch)
    said = section(rig, certificate)
    said["server_address"] = ["127.0.0.1:1", f"127.0.0.1:{rig.port}"]
    asking = made(said)
    assert await tried(asking, "ada")
    assert asked[0] == 1
    asked.clear()
    assert await tried(asking, "ada")
    assert set(asked) == {rig.port}


async def test_no_server_is_no_guess(rig: LdapRig, certificate: Path):
    error = await status_of(made(section(rig, certificate, server_address="127.0.0.1:1")))
    assert error.status_code == 503


async def test_a_certificate_has_to_be_the_servers(rig: LdapRig, certificate: Path):
    """By an authority that is trusted, and with its name in it: else no password is sent there."""
    unknown = section(rig, certificate, tls_kwargs={})
    assert (await status_of(made(unknown))).status_code == 503
    by_name = section(rig, certificate, server_address=f"localhost:{rig.port}")
    assert (await status_of(made(by_name))).status_code == 503
    told = {"tls_kwargs": {"ca_certs_file": str(certificate), "valid_names": ["127.0.0.1"]}}
    assert await tried(made(by_name | told), "ada")


@pytest.mark.parametrize("former", [{"tls_strategy": "on_connect"}, {"use_ssl": True}])
async def test_tls_may_be_there_from_the_beginning(rig: LdapRig, certificate: Path, former: dict[str, Any]):
    said = section(rig, certificate, server_address=f"127.0.0.1:{rig.tls_port}", **former)
    assert await tried(made(said), "ada")
    assert (await status_of(made(said | {"tls_kwargs": {}}))).status_code == 503


async def test_a_server_without_tls_gets_no_password(ldap: LdapRig, certificate: Path):
    assert (await status_of(made(section(ldap, certificate)))).status_code == 503


async def test_whoever_looks_people_up_must_be_let_in(rig: LdapRig, certificate: Path):
    """That is the operator's fault, and no guess of whoever tries."""
    error = await status_of(made(section(rig, certificate, lookup_dn_search_password=WRONG)))
    assert error.status_code == 500
    assert WRONG not in str(error)


def counted_binds(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The port of each that is tried from now on."""
    ports: list[int] = []
    bound = Door.bound

    def count(door: Door, *arguments: Any) -> Any:
        ports.append(door.port)
        return bound(door, *arguments)

    monkeypatch.setattr(Door, "bound", count)
    return ports


@pytest.mark.parametrize("way", WAYS)
async def test_somebody_unknown_costs_as_much_as_a_wrong_password(
    rig: LdapRig, certificate: Path, way: str, monkeypatch: pytest.MonkeyPatch
):
    asking, binds = made(section(rig, certificate, **WAYS[way])), counted_binds(monkeypatch)
    assert await tried(asking, "ada", WRONG) is None
    of_ada = len(binds)
    assert await tried(asking, "nobody", WRONG) is None
    assert len(binds) == 2 * of_ada > 0


def test_options_that_do_not_fit_are_named_at_the_start(rig: LdapRig, certificate: Path):
    with pytest.raises(ConfigError, match="tls_kwargs cannot be used: invalid CA public key file"):
        made(section(rig, certificate, tls_kwargs={"ca_certs_file": "/nowhere"}))
