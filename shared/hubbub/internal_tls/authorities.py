"""The authorities' keys and certificates, in the folder `c.JupyterHub.internal_certs_location`: the api's alone.

The layout is JupyterHub's (`hub-ca/hub-ca.key`, `hub-ca/hub-ca.crt`, `hub-ca_trust.crt`), so that a folder of its
own goes on being used.
"""

import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import structlog
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

from hubbub.internal_tls import certificates
from hubbub.internal_tls.certificates import Asked, Signer
from hubbub.internal_tls.files import Files, write_private
from hubbub.internal_tls.parts import AUTHORITIES, BUNDLE_OF, BUNDLES, KEPT, PARTS, Part
from hubbub.sections import ConfigError

log = structlog.get_logger()

#: What has less to live is made anew at the next start.
RENEW = timedelta(days=180)
#: Says that what `recreate_internal_certs` asks for has been done: a restart is not to do it again.
_RECREATED = ".recreated"


class CannotSign(Exception):
    """There is no key of that authority here."""


class Authorities:
    """Those of one folder, as they are now."""

    def __init__(
        self,
        folder: Path,
        found: Mapping[str, x509.Certificate],
        signers: Mapping[str, Signer],
        more: Mapping[str, str],
    ) -> None:
        """*more*: the text of further certificates that belong to an authority, its own issuers'."""
        self.folder = folder
        self._certificates = found
        self._signers = signers
        self._more = more

    def sign(self, name: str, asked: Asked, common_name: str, alt_names: Iterable[str]) -> str:
        """A certificate for the part *name*, as text. Raises CannotSign or certificates.BadRequest."""
        return certificates.text(self._sign(PARTS[name], asked.public_key, common_name, alt_names))

    def trust(self, name: str) -> str:
        """The certificates of those that the part *name* trusts, as text."""
        return "".join(
            certificates.text(self._certificates[each]) + self._more.get(each, "") for each in PARTS[name].trusts
        )

    def _sign(
        self, part: Part, public_key: CertificatePublicKeyTypes, common_name: str, alt_names: Iterable[str]
    ) -> x509.Certificate:
        signer = self._signers.get(part.authority)
        if signer is None:
            raise CannotSign(f"c.JupyterHub.external_ssl_authorities has no key of {part.authority}")
        return certificates.sign(signer, part, common_name, public_key, alt_names)

    # The api's own ---------------------------------------------------------------------------

    def keep(self, name: str, alt_names: Iterable[str]) -> None:
        """A key and a certificate of the part *name* in the folder, made if there is none that will do."""
        wanted = tuple(dict.fromkeys(alt_names))
        files = kept(self.folder, name)
        if self._will_do(files, PARTS[name], wanted):
            write_private(files.cafile, self.trust(name))
            return
        key = certificates.new_key()
        made = self._sign(PARTS[name], key.public_key(), name, wanted)
        files.write(key=certificates.key_text(key), certificate=certificates.text(made), trust=self.trust(name))
        log.info("certificate.made", part=name, alt_names=";".join(wanted))

    def _will_do(self, files: Files, part: Part, wanted: Iterable[str]) -> bool:
        try:
            certificate = x509.load_pem_x509_certificate(files.certfile.read_bytes())
            key = certificates.load_key(files.keyfile.read_bytes())
            names = set(certificates.alt_names_of(certificate))
        except (OSError, ValueError, TypeError):
            return False
        return (
            certificates.has_key(certificate, key)
            and certificates.is_of(certificate, self._certificates[part.authority])
            and certificates.remaining(certificate) > RENEW
            and {_same(name) for name in wanted} <= names
        )

    def can_sign(self, name: str) -> bool:
        return PARTS[name].authority in self._signers


def settle(
    folder: Path,
    alt_names: Mapping[str, Iterable[str]],
    *,
    external: Mapping[str, Mapping[str, str]] | None = None,
    recreate: bool = False,
) -> Authorities:
    """The authorities of *folder*, made if they are not there; of several processes at once, by one.

    *alt_names*: of each part in `KEPT`. *external*: `{"hub-ca": {"cert": ..., "key": ..., "ca": ...}}`, paths.
    Raises ConfigError.
    """
    try:
        with _locked(folder, fcntl.LOCK_EX):
            if recreate and not (folder / _RECREATED).exists():
                _remove_all(folder)
            found = _open(folder, external or {})
            for name in KEPT:
                if found.can_sign(name) or name == "hub-internal":
                    found.keep(name, alt_names.get(name, ()))
            for name, part in BUNDLES.items():
                write_private(folder / name, found.trust(part))
            _remember(folder, recreate=recreate)
    except (OSError, CannotSign, certificates.BadRequest) as error:
        raise ConfigError(f"c.JupyterHub.internal_ssl: {error}") from None
    return found


def kept(folder: Path, name: str) -> Files:
    """Where the files of a part in `KEPT` are."""
    return Files(
        keyfile=folder / name / f"{name}.key", certfile=folder / name / f"{name}.crt", cafile=folder / BUNDLE_OF[name]
    )


@contextmanager
def reading(folder: Path) -> Iterator[None]:
    """Nobody changes the folder meanwhile, if it is the api's: a copy of it on another host has no lock."""
    if (folder / ".lock").exists():
        with _locked(folder, fcntl.LOCK_SH):
            yield
    else:
        yield


@contextmanager
def _locked(folder: Path, how: int) -> Iterator[None]:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, how)
        yield
    finally:
        os.close(lock)


def _remove_all(folder: Path) -> None:
    """All that is ours to make; an operator may have put other things beside it."""
    for name in (*AUTHORITIES, *KEPT):
        if (folder / name).exists():
            shutil.rmtree(folder / name)
    log.warning("certificates.recreated", folder=str(folder), todo="restart every server and every service")


def _remember(folder: Path, *, recreate: bool) -> None:
    if recreate:
        (folder / _RECREATED).touch(mode=0o600)
    else:
        (folder / _RECREATED).unlink(missing_ok=True)


def _open(folder: Path, external: Mapping[str, Mapping[str, str]]) -> Authorities:
    found: dict[str, x509.Certificate] = {}
    signers: dict[str, Signer] = {}
    more: dict[str, str] = {}
    for name in AUTHORITIES:
        if name not in external:
            _make_sure(folder, name)
        files = external.get(name) or {kind: str(folder / name / f"{name}.{end}") for kind, end in _OURS}
        found[name] = _certificate(name, files["cert"])
        if files.get("key"):
            signers[name] = _signer(name, files["key"], found[name])
        if files.get("ca"):
            more[name] = _text(name, files["ca"])
    return Authorities(folder, found, signers, more)


_OURS = (("key", "key"), ("cert", "crt"))


def _make_sure(folder: Path, name: str) -> None:
    if (folder / name).is_dir():
        return
    made = certificates.new_authority(name)
    # As a whole or not at all: half an authority would be taken for a broken one.
    unfinished = folder / f".{name}.part"
    shutil.rmtree(unfinished, ignore_errors=True)
    write_private(unfinished / f"{name}.key", certificates.key_text(made.key))
    write_private(unfinished / f"{name}.crt", certificates.text(made.certificate))
    unfinished.rename(folder / name)
    log.info("authority.made", name=name, folder=str(folder))


def _certificate(name: str, path: str) -> x509.Certificate:
    try:
        found = x509.load_pem_x509_certificate(_text(name, path).encode())
    except ValueError as error:
        raise ConfigError(f"the certificate of {name}, {path}: {error}") from None
    if certificates.remaining(found) < timedelta():
        raise ConfigError(f"the certificate of {name}, {path}, has expired: see c.JupyterHub.recreate_internal_certs")
    return found


def _signer(name: str, path: str, certificate: x509.Certificate) -> Signer:
    try:
        key = certificates.load_key(_text(name, path).encode())
    except (ValueError, TypeError) as error:
        raise ConfigError(f"the key of {name}, {path}: {error}") from None
    if not certificates.has_key(certificate, key):
        raise ConfigError(f"the key of {name}, {path}, is not that of its certificate")
    return Signer(key=key, certificate=certificate)


def _text(name: str, path: str) -> str:
    try:
        text = Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"a file of {name}, {path}: {error}") from None
    return text if text.endswith("\n") else f"{text}\n"


def _same(name: str) -> str:
    """*name* as a certificate tells it."""
    return certificates.text_of(certificates.alt_name(name))
