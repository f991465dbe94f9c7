"""A directory as logins ask it: several servers that know the same, connections that end, answers that are looked at.

Everything here blocks. ldap3 speaks the protocol; it is imported when a directory is configured.
"""

import base64
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from time import monotonic
from typing import Any, Literal, TypeVar

import structlog

log = structlog.get_logger()
T = TypeVar("T")

TlsStrategy = Literal["before_bind", "on_connect", "insecure"]

#: Seconds for which a server that was away is tried after the others.
AWAY_FOR = 30.0

# Result codes (RFC 4511, appendix A).
_SUCCESS, _NO_SUCH_OBJECT, _REFERRAL, _INSUFFICIENT_ACCESS = 0, 32, 10, 50
_BUSY = frozenset({51, 52})
#: To a bind: constraintViolation (too many guesses), noSuchObject, invalidDNSyntax, inappropriateAuthentication (it has
#: no password), invalidCredentials, insufficientAccessRights, unwillingToPerform (locked, or no password was given).
_NO = frozenset({19, 32, 34, 48, 49, 50, 53})


class Away(Exception):
    """No server of the directory could be reached, or proved that it is the one that was meant."""


class Faulty(Exception):
    """The directory answers, but not what was asked for: it, or the configuration, is to be looked at."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """`attributes`: their values as text, base64 where they are none."""

    dn: str
    attributes: dict[str, list[str]]

    def values(self, attribute: str) -> list[str]:
        """Of an attribute, however its name is spelled."""
        return next((found for name, found in self.attributes.items() if name.lower() == attribute.lower()), [])


@dataclass(frozen=True, kw_only=True)
class Directory:
    """`servers`: host and port of each. *tls_options*: of ldap3's `Tls`. Timeouts in seconds."""

    servers: Sequence[tuple[str, int]]
    tls: TlsStrategy
    tls_options: dict[str, Any]
    connect_timeout: int = 5
    receive_timeout: int = 10
    _away: dict[tuple[str, int], float] = field(default_factory=dict)

    def ask(self, question: Callable[["Door"], T]) -> T:
        """What *question* comes to at the first server that answers all of it. Raises Away, Faulty."""
        why: Exception | None = None
        for server in sorted(self.servers, key=self._is_away):
            try:
                answer = question(Door(self, *server))
            except _unreachable() as error:
                why = error
                self._away[server] = monotonic() + AWAY_FOR
                log.warning(
                    "ldap.server_away", server=f"{server[0]}:{server[1]}", error=type(error).__name__, why=str(error)
                )
            else:
                self._away.pop(server, None)
                return answer
        raise Away(str(why)) from why

    def _is_away(self, server: tuple[str, int]) -> bool:
        return self._away.get(server, 0) > monotonic()

    def check(self) -> None:
        """Raises what is wrong with the options for TLS."""
        Door(self, "localhost", 389).server()


@dataclass(frozen=True)
class Door:
    """One server, to which connections can be opened."""

    directory: Directory
    host: str
    port: int

    def server(self) -> Any:
        import ldap3

        directory = self.directory
        options = {"validate": ssl.CERT_REQUIRED, "sni": None if _is_address(self.host) else self.host}
        return ldap3.Server(
            self.host,
            port=self.port,
            use_ssl=directory.tls == "on_connect",
            tls=None if directory.tls == "insecure" else ldap3.Tls(**{**options, **directory.tls_options}),
            get_info=ldap3.NONE,
            connect_timeout=directory.connect_timeout,
        )

    @contextmanager
    def bound(self, dn: str | None, password: bytes) -> Iterator["Session | None"]:
        """A connection as *dn*, or as nobody (None); None if the directory says no to that password.

        A password must not be empty: that would be no question, and many servers say yes to it (RFC 4513, 5.1.2).
        """
        import ldap3

        assert dn is None or password
        connection = ldap3.Connection(
            self.server(),
            user=dn,
            password=password or None,
            authentication=ldap3.SIMPLE if dn else ldap3.ANONYMOUS,
            auto_bind=ldap3.AUTO_BIND_NONE,
            auto_referrals=False,
            check_names=False,
            read_only=True,
            receive_timeout=self.directory.receive_timeout,
        )
        try:
            connection.open(read_server_info=False)
            if self.directory.tls == "before_bind" and not connection.start_tls(read_server_info=False):
                raise Faulty("TLS did not start")  # never a password without it
            connection.bind(read_server_info=False)
            yield Session(connection) if _is_bound(connection.result) else None
        finally:
            with suppress(Exception):  # it is over, whatever the server thinks of it
                connection.unbind()


class Session:
    """What may be read as whoever a connection is bound as."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def read(self, dn: str, wanted: str = "(objectClass=*)", attributes: Sequence[str] = ()) -> Entry | None:
        """The entry *dn*, if there is one that fits the filter *wanted* and may be seen."""
        return next(iter(self._search(dn, "BASE", wanted, attributes)), None)

    def below(self, dn: str, wanted: str, attributes: Sequence[str] = ()) -> list[Entry]:
        """All entries at and below *dn* that fit the filter *wanted*."""
        return self._search(dn, "SUBTREE", wanted, attributes)

    def _search(self, base: str, scope: str, wanted: str, attributes: Sequence[str]) -> list[Entry]:
        self._connection.search(base, wanted, search_scope=scope, attributes=list(attributes) or ["1.1"])
        result = self._connection.result
        if result["result"] == _INSUFFICIENT_ACCESS:
            log.warning("ldap.not_readable", base=base)
        elif result["result"] not in (_SUCCESS, _NO_SUCH_OBJECT, _REFERRAL):
            raise Faulty(f"searching {base!r} for {wanted!r}: {_told(result)}")
        found = [answer for answer in self._connection.response or () if answer["type"] == "searchResEntry"]
        return [Entry(dn=answer["dn"], attributes=_texts(answer["raw_attributes"])) for answer in found]


def _is_bound(result: dict[str, Any]) -> bool:
    """Raises Faulty for a server that has no answer."""
    code = result["result"]
    if code == _SUCCESS:
        return True
    if code not in _NO:
        raise (_Busy if code in _BUSY else Faulty)(f"binding: {_told(result)}")
    log.info("ldap.bind_refused", result=result["description"], said=result["message"][:200])
    return False


class _Busy(OSError):
    """Perhaps another server is not."""


def _told(result: dict[str, Any]) -> str:
    return f"{result['description']} {result['message']}".strip()


def _texts(raw: dict[str, list[bytes]]) -> dict[str, list[str]]:
    return {name: [_text(value) for value in values] for name, values in raw.items() if values}


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return base64.b64encode(value).decode()


def _unreachable() -> tuple[type[Exception], ...]:
    from ldap3.core import exceptions

    return (
        OSError,
        exceptions.LDAPCommunicationError,
        exceptions.LDAPStartTLSError,
        exceptions.LDAPCertificateError,
        exceptions.LDAPResponseTimeoutError,
    )


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
