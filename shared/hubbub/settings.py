"""What a process learns from its environment: infrastructure, never policy (that is the operator's config)."""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import msgspec

#: Exit status of a service whose configuration is wrong: starting it again would not help.
BAD_CONFIGURATION = 78


#: Exit status of a service that was told to end the whole house (`POST /shutdown`).
SHUT_DOWN = 79


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """See docs/configuration.md for each. Empty strings mean "not set"."""

    instance: str
    config: str = ""
    data: str = ".hubbub"
    postgres_url: str = ""
    nats_url: str = ""
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
    lease_seconds: float = 10.0
    log_format: str = "json"

    @property
    def data_folder(self) -> Path:
        return Path(self.data).resolve()

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] | None = None, *, needs: tuple[str, ...] = ()) -> "Settings":
        """Read HUBBUB_*; exits with status 78, naming the variable, if one of *needs* is missing or unusable."""
        environ = os.environ if environ is None else environ
        values: dict[str, object] = {}
        for field in cls.__struct_fields__:
            name = "CONFIGPROXY_AUTH_TOKEN" if field == "proxy_auth_token" else f"HUBBUB_{field.upper()}"
            text = environ.get(name, "")
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


def _parse(field: str, text: str) -> object:
    if field == "lease_seconds":
        seconds = float(text)
        if seconds <= 0:
            raise ValueError("it must be above 0")
        return seconds
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
