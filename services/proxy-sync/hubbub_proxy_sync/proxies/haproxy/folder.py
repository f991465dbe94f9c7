"""The folder that HAProxy is started in: its configuration and all that this names."""

import hashlib
import os
import shutil
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from cryptography.hazmat.primitives import serialization

from hubbub import public_tls
from hubbub_proxy_sync.proxies.process import alone

CONFIGURATION = "haproxy.cfg"


class Folder:
    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, files: Mapping[str, bytes], *, beside: bool = False) -> Path:
        """Each as a whole or not at all, for us alone. *beside*: in a folder of their own, to be tried out there."""
        path = self.path.with_name(f"{self.path.name}.new") if beside else self.path
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name, content in files.items():
            part = path / f"{name}.part"
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
                file.write(content)
            part.replace(path / name)
        return path

    def read(self, name: str) -> str:
        try:
            return (self.path / name).read_text(errors="replace")
        except OSError:
            return ""

    def alone(self) -> AbstractContextManager[bool]:
        """Whether nobody else finds, begins or reloads the HAProxy of this folder meanwhile."""
        return alone(self.path / "lock")

    def forget_tried(self) -> None:
        shutil.rmtree(self.path.with_name(f"{self.path.name}.new"), ignore_errors=True)


def mark_of(files: Mapping[str, bytes]) -> str:
    """By which a HAProxy that has begun with these files is known again."""
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        digest.update(f"{name} {len(content)}\n".encode())
        digest.update(content)
    return f"hubbub-{digest.hexdigest()[:32]}"


def joined(key: Path | str, certificate: Path | str) -> bytes:
    """Both in one, as HAProxy wants them; it has no terminal at which it could ask for a passphrase."""
    text = Path(key).read_bytes()
    if b"ENCRYPTED" in text:
        passphrase = os.environ.get(public_tls.PASSPHRASE, "").encode()
        text = serialization.load_pem_private_key(text, passphrase).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    return Path(certificate).read_bytes().rstrip() + b"\n" + text
