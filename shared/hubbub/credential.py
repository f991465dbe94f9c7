"""All that a worker on another host needs to come onto the bus, in one file (`hubbub worker add`)."""

from pathlib import Path

import msgspec

VERSION = 1


class BadCredential(ValueError):
    """The file is no credential that this release can use."""


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """`nats`: tls://host:port, where the hub's NATS is reached. `seed`: of the worker's NATS user (`hubbub.nkey`).
    `ca`: PEM, the authority of the server's certificate. `bind_url`, `hub_bind_url`: as the hub was told, if it was.
    """

    version: int = VERSION
    worker: str
    pool: str
    nats: tuple[str, ...]
    seed: str
    ca: str
    bus_key: str
    bind_url: str = ""
    hub_bind_url: str = ""

    def text(self) -> str:
        return msgspec.json.format(msgspec.json.encode(self), indent=1).decode() + "\n"

    def settings(self) -> dict[str, str]:
        """By the name of the setting."""
        return {
            "instance": self.worker,
            "pool": self.pool,
            "nats_url": ",".join(self.nats),
            "nats_seed": self.seed,
            "nats_ca": self.ca,
            "bus_key": self.bus_key,
            "bind_url": self.bind_url,
            "hub_bind_url": self.hub_bind_url,
        }


def read(path: str | Path) -> Credential:
    """Raises BadCredential with a sentence that does not repeat what is in the file."""
    try:
        found = msgspec.json.decode(Path(path).read_bytes(), type=Credential)
    except OSError as error:
        raise BadCredential(f"{path} cannot be read: {error.strerror}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise BadCredential(f"{path} is not a credential as `hubbub worker add` prints it") from None
    if found.version > VERSION:
        raise BadCredential(f"{path} was made by a newer release")
    return found
