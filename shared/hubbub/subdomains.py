"""Which subdomain a name gets (`subdomain_hook`): JupyterHub's two rules, and what a host may look like.

Addresses that people have bookmarked depend on them, so they are the same to the letter.
"""

import hashlib
import re
from collections.abc import Callable
from functools import partial
from string import ascii_lowercase, digits
from typing import Any, Literal
from urllib.parse import quote

import idna

Kind = Literal["user", "service"]
#: name, domain of the hub, kind -> host.
Hook = Callable[[str, str, Kind], Any]

_LABEL = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)")
#: Wider than a label has to be: the rule `legacy` makes underscores, and may leave hyphens at the ends.
_HOST = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
_LONGEST_HOST = 253
_PLAIN = frozenset(ascii_lowercase + digits)


class BadHost(ValueError):
    """It is not a host that somebody's servers can have."""


def by_idna(name: str, domain: str, kind: Kind) -> str:
    """`ada.hub.test`, `board--service.hub.test`."""
    return f"{_label(name)}{'' if kind == 'user' else f'--{kind}'}.{domain}"


def _label(name: str) -> str:
    """*name* if it is a label by itself, else by IDNA, else a piece of it with a hash.

    All that we make have `--` in them, so no name with those stands for itself.
    """
    if "--" not in name:
        if _is_label(name):
            return name
        encoded = _encoded(name)
        if encoded != name and _is_label(encoded):
            return encoded
    return _hashed(name)


def _is_label(text: str) -> bool:
    return _LABEL.fullmatch(text) is not None and not text.isnumeric()


def _encoded(name: str) -> str:
    """Empty if IDNA has nothing for it."""
    try:
        return idna.encode(name).decode("ascii")
    except ValueError:
        return ""


def _hashed(name: str) -> str:
    stub = "".join(each for each in name.lower() if each in _PLAIN)[:8]
    return f"u-{stub or 'x'}--{hashlib.sha256(name.encode()).hexdigest()[:7]}"


def by_legacy(name: str, domain: str, kind: Kind) -> str:
    """`ada.hub.test`, `gr_c3_a9.hub.test`; all services share `services.hub.test`."""
    if kind == "service":
        return f"services.{domain}"
    label = quote(name, safe="").lower()
    for unquoted in "_~":
        label = label.replace(unquoted, f"%{ord(unquoted):x}")
    return f"{label.replace('%', '_')}.{domain}"


HOOKS: dict[str, Hook] = {"idna": by_idna, "legacy": by_legacy}


def hook_of(said: Any) -> Hook:
    """Of `c.JupyterHub.subdomain_hook`. Raises BadHost."""
    if isinstance(said, str) and said in HOOKS:
        return HOOKS[said]
    if callable(said):
        return partial(_by_operator, said)
    raise BadHost(f"c.JupyterHub.subdomain_hook is {said!r}: it must be 'idna', 'legacy' or a callable")


def _by_operator(hook: Callable[..., Any], name: str, domain: str, kind: Kind) -> Any:
    """JupyterHub, too, names the third argument."""
    return hook(name, domain, kind=kind)


def host_of(hook: Hook, name: str, domain: str, kind: Kind) -> str:
    """What *hook* has for *name*, in lower case, as browsers ask for it. Raises BadHost."""
    try:
        said = hook(name, domain, kind)
    except Exception as error:  # whatever the operator's function may do
        raise BadHost(f"c.JupyterHub.subdomain_hook, asked for the {kind} {name!r}: {error!r}") from error
    host = said.lower() if isinstance(said, str) else ""
    if len(host) > _LONGEST_HOST or not _HOST.fullmatch(host):
        raise BadHost(f"c.JupyterHub.subdomain_hook: {said!r}, for the {kind} {name!r}, is no name of a host")
    return host


def in_ascii(host: str) -> str:
    """*host* as browsers ask for it. Raises BadHost."""
    try:
        return host.lower() if host.isascii() else idna.encode(host, uts46=True).decode("ascii")
    except ValueError:
        raise BadHost(f"{host!r} is no name of a host") from None


def parent(host: str) -> str:
    """*host*, which is to have subdomains, as browsers ask for it. Raises BadHost."""
    host = in_ascii(host)
    if not _HOST.fullmatch(host) or host.rpartition(".")[2].isnumeric():
        raise BadHost(f"{host!r} is no name of a host, so there are no subdomains of it")
    return host
