"""The certificate by which people know the house: `c.JupyterHub.ssl_key` and `ssl_cert`."""

import os
import ssl
from pathlib import Path

from hubbub.sections import ConfigError, Hub

#: By which configurable-http-proxy, too, opens a key that is locked.
PASSPHRASE = "CONFIGPROXY_SSL_KEY_PASSPHRASE"


def check(hub: Hub) -> None:
    """Raises ConfigError if one is set without the other: there is no TLS with half of it."""
    for given, missing in (("ssl_key", "ssl_cert"), ("ssl_cert", "ssl_key")):
        if getattr(hub, given) and not getattr(hub, missing):
            raise ConfigError(f"c.JupyterHub.{given} is set, but c.JupyterHub.{missing} is not")


def check_files(hub: Hub) -> None:
    """Raises ConfigError unless they are there and belong together; for those alone who serve with them."""
    if not hub.ssl_cert:
        return
    for name in ("ssl_key", "ssl_cert"):
        path = Path(getattr(hub, name))
        try:
            path.read_bytes()
        except OSError as error:
            raise ConfigError(f"c.JupyterHub.{name}: cannot read {path}: {error.strerror}") from None
    if wrong := mismatch(hub.ssl_key, hub.ssl_cert):
        raise ConfigError(f"c.JupyterHub.ssl_key and c.JupyterHub.ssl_cert: {wrong}")


def mismatch(key: str, certificate: str) -> str:
    """Why nothing can be served with these two files; "" if it can."""
    try:
        # Without a passphrase OpenSSL would ask for it at the terminal.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key, password=lambda: os.environ.get(PASSPHRASE, ""))
    except ssl.SSLError as error:
        return f"{key} and {certificate} do not belong together, or are none: {error.reason or error}"
    except (OSError, ValueError) as error:
        return str(error)
    return ""


def state_of(key: str, certificate: str) -> str:
    """Changes when one of the files does; "" without them."""
    if not certificate:
        return ""
    try:
        found = [Path(path).stat() for path in (key, certificate)]
    except OSError:
        return ""
    return " ".join(f"{each.st_ino}.{each.st_mtime_ns}.{each.st_size}" for each in found)
