"""What HAProxy is told at its start: a text that follows from the options alone."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from hubbub_proxy_sync.proxies.haproxy import keys
from hubbub_proxy_sync.proxies.haproxy.entries import ADDRESS, BACKEND, NAME, PATH, PORT

#: Files, as the configuration names them: all are in the folder that HAProxy is started in.
MAP, SOCKET, PUBLIC_PEM, CLIENT_PEM, CLIENT_CA = (
    "hubbub.map",
    "haproxy.sock",
    "public.pem",
    "client.pem",
    "client-ca.pem",
)
#: The statuses of a server that does not answer as it should, and whose page it is then.
BROKEN = (502, 503, 504)
#: As configurable-http-proxy has it, so that a balancer in front need not know which of them it asks.
HEALTH = "/_chp_healthz"
_HEALTHY = '{"status":"OK"}'

_EVERYWHERE = frozenset({"", "*", "::"})


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """`tls`: in front, `secure`: with internal TLS behind. `authorities`: the file of those by whom servers are
    checked without it, "" if this machine has none. `ipv6`: whether this machine has it. `extra_global`,
    `extra_frontend`: the operator's own lines. `folder`: of the files, "" if HAProxy is started in it. `mark`: by which
    it is known again.
    """

    bind_url: str
    maxconn: int
    host_routing: bool = False
    tls: bool = False
    secure: bool = False
    authorities: str = ""
    ipv6: bool = True
    log_level: str = "warning"
    extra_global: str = ""
    extra_frontend: str = ""
    folder: str = ""
    mark: str = ""

    def file(self, name: str) -> str:
        return f"{self.folder}/{name}" if self.folder else name


def render(wishes: Wishes) -> str:
    sections = [_global(wishes), _defaults(wishes), _frontend(wishes), *_backends(wishes)]
    return "\n\n".join("\n".join(section) for section in sections) + "\n"


def page(status: int, *, hub: bool = False) -> str:
    """The name of the file that is sent when a server, or the *hub*, does not answer."""
    return f"{'hub' if hub else 'server'}-{status}.http"


def _global(wishes: Wishes) -> list[str]:
    return [
        "global",
        *([f"    description {wishes.mark}"] if wishes.mark else []),
        f"    stats socket unix@{wishes.file(SOCKET)} mode 600 level admin expose-fd listeners",
        f"    maxconn {wishes.maxconn}",
        # Two HAProxies that listen at the same port would have half of the connections each.
        "    noreuseport",
        # Headers of 16 kB, and long keys.
        "    tune.bufsize 32768",
        f"    log stdout format raw daemon {wishes.log_level}",
        # Browsers that ask for WebSockets over HTTP/2 would send CONNECT.
        "    h2-workaround-bogus-websocket-clients",
        *_lines(wishes.extra_global),
    ]


def _defaults(wishes: Wishes) -> list[str]:
    return [
        "defaults",
        "    mode http",
        "    log global",
        # Without the query, in which there may be tokens.
        '    log-format "%ci %HM %HP %ST %B bytes %Ta ms"',
        "    option dontlognull",
        "    option http-no-delay",
        "    option abortonclose",
        "    option clitcpka",
        "    option srvtcpka",
        # A kernel may think for as long as it likes; whoever sends no headers may not.
        "    timeout http-request 30s",
        "    timeout http-keep-alive 60s",
        "    timeout connect 10s",
        "    timeout client 24h",
        "    timeout server 24h",
        "    timeout tunnel 7d",
        # A second try would come a second later, and find the same.
        "    retries 0",
        "    http-reuse safe",
        *(f"    errorfile {status} {wishes.file(page(status))}" for status in BROKEN),
    ]


def _frontend(wishes: Wishes) -> list[str]:
    return [
        "frontend public",
        *_binds(wishes),
        f"    http-request return status 200 content-type application/json string '{_HEALTHY}' if {{ path {HEALTH} }}",
        "    http-request deny deny_status 405 if { method CONNECT }",
        *_lines(wishes.extra_frontend),
        *_forwarded(tls=wishes.tls),
        "    # Where it leads",
        f"    acl elsewhere path -m reg -i '{keys.RESOLVED}'",
        "    acl elsewhere path -m sub '\\'",
        "    acl absolute url -i -m beg http:// https://",
        "    http-request set-uri %[pathq] if absolute { path -m beg / }",
        "    http-request set-uri / if absolute",
        *_lookup(wishes),
        f"    use_backend %[var(txn.up),field({BACKEND},|)] if {{ var(txn.up) -m found }}",
        "    default_backend nowhere",
    ]


def _binds(wishes: Wishes) -> list[str]:
    parts = urlsplit(wishes.bind_url)
    host, port = parts.hostname or "", parts.port or (443 if wishes.tls else 80)
    tls = f" ssl crt {wishes.file(PUBLIC_PEM)} alpn h2,http/1.1" if wishes.tls else ""
    if host not in _EVERYWHERE:
        return [f"    bind {f'[{host}]' if ':' in host else host}:{port}{tls}"]
    # One for each: those of IPv4 are not to look as if they came by IPv6.
    return [f"    bind *:{port}{tls}", *([f"    bind [::]:{port} v6only{tls}"] if wishes.ipv6 else [])]


def _forwarded(*, tls: bool) -> list[str]:
    """The last of each is what we have seen, whatever the client says. In one header: many look at the first alone."""
    last = {"For": "%[src]", "Port": "%[var(txn.port)]", "Proto": "https" if tls else "http"}
    lines = [
        "    # What servers are told of the client",
        "    http-request set-var(txn.port) req.fhdr(host),port_only",
        f"    http-request set-var(txn.port) int({443 if tls else 80}) unless {{ var(txn.port) -m int gt 0 }}",
    ]
    for name, value in last.items():
        header = f"X-Forwarded-{name}"
        given = f"{{ req.fhdr({header}) -m len gt 0 }}"
        lines += [
            f'    http-request set-header {header} "%[req.fhdr({header})],{value}" if {given}',
            f"    http-request set-header {header} {value} unless {given}",
        ]
    given = "{ req.fhdr(X-Forwarded-Host) -m len gt 0 }"
    return [*lines, f"    http-request set-header X-Forwarded-Host %[req.fhdr(host)] unless {given}"]


def _lookup(wishes: Wishes) -> list[str]:
    find = f"map_beg({wishes.file(MAP)})"
    path = f"path,concat(/),url_dec,bytes(0,{keys.LONGEST}),url_enc"
    if wishes.host_routing:
        lines = [
            "    http-request set-var(txn.host) req.fhdr(host),lower,field(1,:),rtrim(.)",
            f"    acl named var(txn.host) -m reg '{keys.HOST}'",
            f"    http-request set-var(txn.path) {path}",
            f"    http-request set-var(txn.up) var(txn.host),concat(,txn.path,),{find} if named !elsewhere",
            f"    http-request set-var(txn.up) str(%2F),{find} if !elsewhere !{{ var(txn.up) -m found }}",
        ]
    else:
        lines = [f"    http-request set-var(txn.up) {path},{find} if !elsewhere"]
    return [*lines, f"    http-request set-var(txn.up) str({keys.FALLBACK}),{find} if !{{ var(txn.up) -m found }}"]


def _backends(wishes: Wishes) -> list[list[str]]:
    schemes = ["http", *(["https"] if wishes.secure or wishes.authorities else [])]
    found = [_backend(f"{who}_{scheme}", wishes) for who in ("servers", "hub") for scheme in schemes]
    # Before the first route is set, and for what somebody else has spoilt.
    return [*found, ["backend nowhere", *_hub_pages(wishes)]]


def _backend(name: str, wishes: Wishes) -> list[str]:
    prefix = f"var(txn.up),field({PATH},|)"
    return [
        f"backend {name}",
        *(_hub_pages(wishes) if name.startswith("hub") else []),
        f"    http-request set-dst var(txn.up),field({ADDRESS},|)",
        f"    http-request set-dst-port var(txn.up),field({PORT},|)",
        f"    http-request set-path %[{prefix}]%[path] if {{ {prefix} -m len gt 0 }}",
        f"    server it 0.0.0.0:0{_tls(wishes) if name.endswith('https') else ''}",
    ]


def _hub_pages(wishes: Wishes) -> list[str]:
    return [f"    errorfile {status} {wishes.file(page(status, hub=True))}" for status in BROKEN]


def _tls(wishes: Wishes) -> str:
    """The certificate has to be for the name, if there is one; of an address the authority alone is checked."""
    sni = f"sni var(txn.up),field({NAME},|)"
    if wishes.secure:
        return f" ssl verify required ca-file {wishes.file(CLIENT_CA)} crt {wishes.file(CLIENT_PEM)} {sni}"
    return f" ssl verify required ca-file {wishes.authorities} {sni}"


def _lines(text: str) -> list[str]:
    return [f"    {line.strip()}" for line in text.splitlines() if line.strip()]
