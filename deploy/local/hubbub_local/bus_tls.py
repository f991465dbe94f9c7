"""The certificate of the hub's NATS, of an authority of its own, which workers of other hosts check it by."""

import socket
from collections.abc import Iterable
from pathlib import Path

from cryptography import x509

from hubbub.internal_tls import certificates
from hubbub.internal_tls.authorities import RENEW
from hubbub.internal_tls.certificates import BadRequest, Signer, alt_name, alt_names_of, text_of
from hubbub.internal_tls.parts import Part
from hubbub_local.errors import StackError
from hubbub_local.folder import write_private

_SERVER = Part(authority="nats-ca", trusts=(), serves=True)
_ANYWHERE = ("", "*", "0.0.0.0", "::")


def ca(root: Path) -> str:
    """PEM. Raises StackError if there is none yet."""
    try:
        return (root / "nats-ca.crt").read_text()
    except OSError as error:
        raise StackError(f"{root / 'nats-ca.crt'} cannot be read ({error.strerror})") from None


def write(root: Path, names: Iterable[str]) -> None:
    """`nats.crt` and `nats.key`, and the authority's `nats-ca.crt` and `nats-ca.key`, in the folder *root*.

    *names*: by which the server is reached, besides those of this host. What is there and will do is kept, and so are
    the names that it has. Raises StackError for what is no name.
    """
    signer = _authority(root)
    try:
        wanted = {text_of(alt_name(name)) for name in (*_here(), *names) if name not in _ANYWHERE}
    except BadRequest as error:
        raise StackError(str(error)) from None
    before = _certificate(root / "nats.crt")
    if before is not None and certificates.is_of(before, signer.certificate):
        known = set(alt_names_of(before))
        if wanted <= known and certificates.remaining(before) > RENEW and (root / "nats.key").exists():
            return
        wanted |= known
    key = certificates.new_key()
    made = certificates.sign(signer, _SERVER, "hubbub nats", key.public_key(), sorted(wanted))
    write_private(root / "nats.key", certificates.key_text(key))
    write_private(root / "nats.crt", certificates.text(made))


def _authority(root: Path) -> Signer:
    """Made once. Raises StackError if its files are not what they were."""
    cert_file, key_file = root / "nats-ca.crt", root / "nats-ca.key"
    if not cert_file.exists():
        made = certificates.new_authority("hubbub nats-ca")
        write_private(key_file, certificates.key_text(made.key))
        write_private(cert_file, certificates.text(made.certificate))
    try:
        certificate = x509.load_pem_x509_certificate(cert_file.read_bytes())
        key = certificates.load_key(key_file.read_bytes())
    except (OSError, ValueError, TypeError) as error:
        raise StackError(f"{cert_file} and {key_file} are no authority: {error}") from None
    return Signer(key=key, certificate=certificate)


def _certificate(path: Path) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError):
        return None


def _here() -> list[str]:
    return ["127.0.0.1", "::1", "localhost", socket.getfqdn()]
