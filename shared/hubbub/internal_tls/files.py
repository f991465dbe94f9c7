"""A certificate with its key and whom to trust, as files; and what TLS makes of them."""

import os
import ssl
from pathlib import Path

import msgspec


class Files(msgspec.Struct, frozen=True, kw_only=True):
    """Paths. `cafile`: the certificates of the authorities that are trusted."""

    keyfile: Path
    certfile: Path
    cafile: Path

    @classmethod
    def within(cls, folder: Path, name: str) -> "Files":
        return cls(keyfile=folder / f"{name}.key", certfile=folder / f"{name}.crt", cafile=folder / f"{name}_trust.crt")

    def write(self, *, key: str, certificate: str, trust: str) -> None:
        for path, text in ((self.keyfile, key), (self.certfile, certificate), (self.cafile, trust)):
            write_private(path, text)

    def paths(self) -> dict[str, str]:
        """As JupyterHub's `create_certs` returns them."""
        return {"keyfile": str(self.keyfile), "certfile": str(self.certfile), "cafile": str(self.cafile)}


def serving(files: Files) -> ssl.SSLContext:
    """For a listener: whoever connects has to have a certificate of a trusted authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    return _filled(context, files)


def asking(files: Files, *, public: bool = False) -> ssl.SSLContext:
    """For a client: names are checked. *public*: authorities that this machine trusts anyway will do as well."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if public:
        context.load_default_certs()
    return _filled(context, files)


def write_private(path: Path, text: str) -> None:
    """The file as a whole or not at all, in a folder that others cannot enter."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w") as file:
        file.write(text)
    part.replace(path)


def _filled(context: ssl.SSLContext, files: Files) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(files.cafile)
    context.load_cert_chain(files.certfile, files.keyfile)
    return context
