"""What a process learns from its environment: infrastructure, never policy (that is the operator's config)."""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import msgspec

from hubbub import credential

#: Exit status of a service whose configuration is wrong: starting it again would not help.
BAD_CONFIGURATION = 78


#: Exit status of a service that was told to end the whole house (`POST /shutdown`).
SHUT_DOWN = 79


#: Of a stream, that a majority can be of.
_REPLICAS = (1, 3, 5)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """See docs/configuration.md for each. Empty strings mean "not set"."""

    instance: str
    config: str = ""
    data: str = ".hubbub"
    postgres_url: str = ""
    nats_url: str = ""
    nats_seed: str = ""
    nats_ca: str = ""
    pool: str = "default"
    capacity: int | None = None
    cookie_secret: str = ""
    vault_key: str = ""
    bus_key: str = ""
    forward_key: str = ""
    proxy_auth_token: str = ""
    bind_url: str = ""
    hub_bind_url: str = ""
    proxy_api_url: str = ""
    chp_command: tuple[str, ...] = ()
    bus_replicas: int = 1
    lease_seconds: float = 10.0
    linger_seconds: float = 0.0
    grace_seconds: float = 5.0
    log_format: str = "json"

    @property
    def data_folder(self) -> Path:
        return Path(self.data).resolve()

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] | None = None, *, needs: tuple[str, ...] = ()) -> "Settings":
        """Read HUBBUB_*, or the file that HUBBUB_*_FILE names (a secret that is mounted), or HUBBUB_CREDENTIAL.

        Exits with status 78, naming the variable, if one of *needs* is missing or unusable.
        """
        environ = os.environ if environ is None else environ
        given = _in_credential(environ)
        values: dict[str, object] = {}
        for field in cls.__struct_fields__:
            name = "CONFIGPROXY_AUTH_TOKEN" if field == "proxy_auth_token" else f"HUBBUB_{field.upper()}"
            text = environ.get(name, "") or _in_file(environ, name) or given.get(field, "")
            if field in needs and not text:
                give_up(f"{name} is not set")
            if not text:
                continue
            try:
                values[field] = _parse(field, text)
            except ValueError as error:
                give_up(f"{name} is not usable: {error}")
        if "instance" not in values:
            values["instance"] = f"{os.uname().nodename}-{os.getpid()}".lower()
        return cls(**values)  # type: ignore[arg-type]


def _in_credential(environ: Mapping[str, str]) -> dict[str, str]:
    """By the name of the setting. Who has a credential has no other name than the one in it."""
    path = environ.get("HUBBUB_CREDENTIAL", "")
    if not path:
        return {}
    try:
        found = credential.read(path)
    except credential.BadCredential as error:
        give_up(f"HUBBUB_CREDENTIAL: {error}")
    for name, right in (("HUBBUB_INSTANCE", found.worker), ("HUBBUB_POOL", found.pool)):
        if environ.get(name, right) != right:
            give_up(f"{name} is {environ[name]}, and the credential {path} is of {right}: leave {name} out")
    return found.settings()


def _in_file(environ: Mapping[str, str], name: str) -> str:
    path = environ.get(f"{name}_FILE", "")
    try:
        return Path(path).read_text().strip() if path else ""
    except (OSError, UnicodeDecodeError) as error:
        give_up(f"{name}_FILE cannot be read: {error}")


def _parse(field: str, text: str) -> object:
    if field in ("linger_seconds", "grace_seconds"):
        if not 0 <= (seconds := float(text)) <= 3600:
            raise ValueError("it must be from 0 to 3600")
        return seconds
    if field == "lease_seconds":
        seconds = float(text)
        if seconds <= 0:
            raise ValueError("it must be above 0")
        return seconds
    if field == "bus_replicas":
        replicas = int(text)
        if replicas not in _REPLICAS:
            raise ValueError("it must be 1, 3 or 5")
        return replicas
    if field == "capacity":
        servers = int(text)
        if servers < 0:
            raise ValueError("it must not be below 0")
        return servers
    if field == "chp_command":
        return tuple(json.loads(text))
    return text


def give_up(message: str) -> NoReturn:
    """End the process: its configuration is wrong, and a restart would not help."""
    sys.stderr.write(f"{message}\n")
    sys.stderr.flush()
    raise SystemExit(BAD_CONFIGURATION)
