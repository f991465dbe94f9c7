"""The addresses of the hub: where it listens, and where a person on this machine finds it."""

from dataclasses import dataclass
from urllib.parse import SplitResult, quote, urlsplit, urlunsplit

_EVERYWHERE = {"", "*", "0.0.0.0", "::"}


@dataclass(frozen=True)
class Address:
    """A URL to listen at, as the configuration has it: an empty host is every address of the machine."""

    url: str

    @property
    def host(self) -> str:
        return self._parts.hostname or ""

    @property
    def port(self) -> int | None:
        """None for a unix socket or a scheme's usual port."""
        return self._parts.port if self.is_tcp else None

    @property
    def scheme(self) -> str:
        return self._parts.scheme

    @property
    def is_tcp(self) -> bool:
        return self.scheme in {"http", "https"}

    def at(self, port: int) -> "Address":
        host = f"[{self.host}]" if ":" in self.host else self.host
        return Address(urlunsplit(self._parts._replace(netloc=f"{host}:{port}", path=self._parts.path or "/")))

    def for_people(self) -> str:
        """With a host that can be typed into a browser here, and one slash at the end."""
        parts = self._parts
        host = "127.0.0.1" if self.host in _EVERYWHERE else f"[{self.host}]" if ":" in self.host else self.host
        netloc = f"{host}:{parts.port}" if parts.port else host
        return urlunsplit(parts._replace(netloc=netloc, path=parts.path.rstrip("/") + "/"))

    @property
    def _parts(self) -> SplitResult:
        return urlsplit(self.url)


def with_login(url: str, user: str, password: str) -> str:
    """The same database, as somebody else."""
    parts = urlsplit(url)
    netloc = f"{quote(user, safe='')}:{quote(password, safe='')}@{parts.netloc.rpartition('@')[2]}"
    query = "&".join(each for each in parts.query.split("&") if each.partition("=")[0] not in {"user", "password"})
    return urlunsplit(parts._replace(netloc=netloc, query=query))
