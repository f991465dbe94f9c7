"""Asking for certificates on the bus: keys are made where they are used, and stay there."""

import hashlib
import secrets
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from hubbub.bus import Bus
from hubbub.internal_tls import certificates
from hubbub.internal_tls.authorities import RENEW
from hubbub.internal_tls.files import Files
from hubbub.rpc import Certified, Certify, Refusal, Signed, SigningRequest


class Refused(Exception):
    """The api gives no certificate, and says why."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.kind = refusal.kind


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """A key, and what to ask of the api for it."""

    key: ec.EllipticCurvePrivateKey
    request: SigningRequest

    @classmethod
    def of(cls, part: str, name: str, alt_names: Iterable[str], *, server: str = "", attempt: int = 0) -> "Order":
        """Raises certificates.BadRequest if one of *alt_names* is none."""
        key = certificates.new_key()
        text = certificates.request(key, name, alt_names)
        return cls(key=key, request=SigningRequest(part=part, request=text, server=server, attempt=attempt))

    def write(self, signed: Signed, files: Files) -> None:
        files.write(key=certificates.key_text(self.key), certificate=signed.certificate, trust=signed.trust)


async def send(bus: Bus, subject: str, orders: Sequence[Order]) -> tuple[Signed, ...]:
    """What is signed of *orders*, in their order. Waits until somebody answers; raises Refused."""
    question = Certify(requests=tuple(order.request for order in orders))
    answer = await bus.ask_until_answered(subject, question, Certified)
    if answer.refused:
        raise Refused(answer.refused)
    return answer.signed


async def obtain(bus: Bus, subject: str, folder: Path, wants: Mapping[str, Iterable[str]]) -> dict[str, Files]:
    """The files of each part in *wants*, which says their alternative names, below *folder*.

    As long as the authorities are the same, the paths are: whoever was started with them need not be started anew.
    """
    names = {part: tuple(dict.fromkeys(given)) for part, given in wants.items()}
    orders = [Order.of(part, part, given) for part, given in names.items()]
    signed = await send(bus, subject, orders)
    mark = _mark(names, signed)
    if kept := _kept(folder, mark, names):
        return kept
    _clear(folder)
    files = _within(folder / f"{mark}-{secrets.token_hex(4)}", names)
    for order, found, each in zip(orders, signed, files.values(), strict=True):
        order.write(found, each)
    return files


def _mark(names: Mapping[str, tuple[str, ...]], signed: Iterable[Signed]) -> str:
    """The same for the same names, authorities and trust."""
    authorities = [x509.load_pem_x509_certificate(each.certificate.encode()) for each in signed]
    keys = [each.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value for each in authorities]
    seen = [repr(sorted(names.items())), *(each.trust for each in signed), *(repr(key.key_identifier) for key in keys)]
    return hashlib.sha256("\0".join(seen).encode()).hexdigest()[:16]


def _within(place: Path, parts: Iterable[str]) -> dict[str, Files]:
    return {part: Files.within(place, part) for part in parts}


def _kept(folder: Path, mark: str, parts: Iterable[str]) -> dict[str, Files] | None:
    for place in sorted(folder.glob(f"{mark}-*")):
        files = _within(place, parts)
        if all(_lasts(each) for each in files.values()):
            return files
    return None


def _lasts(files: Files) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate(files.certfile.read_bytes())
        key = certificates.load_key(files.keyfile.read_bytes())
    except (OSError, ValueError, TypeError):
        return False
    found = certificates.has_key(certificate, key) and files.cafile.exists()
    return found and certificates.remaining(certificate) > RENEW


def _clear(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
