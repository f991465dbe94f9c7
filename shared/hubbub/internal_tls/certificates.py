"""Keys, requests and certificates, without a file: RFC 5280, as far as two parties need that know each other."""

import ipaddress
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hubbub.internal_tls.parts import Part

AUTHORITY_LIFE, LIFE = timedelta(days=3652), timedelta(days=731)
#: Hosts' clocks differ.
_SLACK = timedelta(hours=1)
#: RFC 5280's upper bound of a common name; and more names than any server has.
_LONGEST_NAME, _MOST_NAMES = 64, 100

Key: TypeAlias = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey


class BadRequest(ValueError):
    """It asks for a certificate that nobody should have."""


class Signer(msgspec.Struct, frozen=True, kw_only=True):
    """An authority that can sign."""

    key: Key
    certificate: x509.Certificate


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a request says. `alt_names`: as texts, `IP:10.0.0.7` or `DNS:host`."""

    public_key: CertificatePublicKeyTypes
    common_name: str
    alt_names: tuple[str, ...]


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def key_text(key: Key) -> str:
    """Not encrypted: who may read the file may use the key."""
    kind = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, kind, serialization.NoEncryption()).decode()


def text(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def new_authority(name: str) -> Signer:
    key, now = new_key(), datetime.now(UTC)
    subject = _named(name)
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - _SLACK)
        .not_valid_after(now + AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Signer(key=key, certificate=certificate)


def request(key: ec.EllipticCurvePrivateKey, common_name: str, alt_names: Iterable[str]) -> str:
    """A signing request. Raises BadRequest if one of *alt_names* is none."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(_named(common_name))
    names = [alt_name(name) for name in dict.fromkeys(alt_names)]
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def read(request: str) -> Asked:
    """Whoever sent it has its key. Raises BadRequest."""
    try:
        found = x509.load_pem_x509_csr(request.encode())
        if not found.is_signature_valid:
            raise BadRequest("the request is not signed by its own key")
        names = found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return Asked(
            public_key=found.public_key(),
            common_name=str(names[0].value) if names else "",
            alt_names=_alt_names(found.extensions),
        )
    except (ValueError, UnsupportedAlgorithm, InvalidSignature) as error:
        raise BadRequest(str(error) or type(error).__name__) from None


def sign(
    signer: Signer, part: Part, common_name: str, public_key: CertificatePublicKeyTypes, alt_names: Iterable[str]
) -> x509.Certificate:
    """Raises BadRequest if one of *alt_names* is none."""
    now, ends = datetime.now(UTC), signer.certificate.not_valid_after_utc
    names = [alt_name(name) for name in dict.fromkeys(alt_names)]
    if len(names) > _MOST_NAMES:
        raise BadRequest(f"a certificate has {_MOST_NAMES} alternative names at most")
    uses = [ExtendedKeyUsageOID.SERVER_AUTH] * part.serves + [ExtendedKeyUsageOID.CLIENT_AUTH] * part.asks
    builder = (
        x509.CertificateBuilder(
            signer.certificate.subject, _named(common_name), public_key, x509.random_serial_number()
        )
        .not_valid_before(now - _SLACK)
        .not_valid_after(min(now + LIFE, ends))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(_identifier_of(signer.certificate), critical=False)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    plain = isinstance(signer.key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey)
    return builder.sign(signer.key, None if plain else hashes.SHA256())


def alt_name(text: str) -> x509.GeneralName:
    """`IP:10.0.0.7`, `DNS:*.example.org`, `URI:...`, or a bare address or name. Raises BadRequest."""
    kind, colon, rest = text.partition(":")
    kind = kind.upper()
    try:
        if colon and kind == "DNS":
            return x509.DNSName(_printable(rest))
        if colon and kind == "URI":
            return x509.UniformResourceIdentifier(_printable(rest))
        if colon and kind == "IP":
            return x509.IPAddress(ipaddress.ip_address(rest))
    except ValueError as error:
        raise BadRequest(f"{text!r} is no alternative name: {error}") from None
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        if colon:
            raise BadRequest(f"{text!r} is no alternative name like IP:10.0.0.7 or DNS:host.example.org") from None
        return alt_name(f"DNS:{text}")


def alt_names_of(certificate: x509.Certificate) -> tuple[str, ...]:
    return _alt_names(certificate.extensions)


def is_of(certificate: x509.Certificate, signer: x509.Certificate) -> bool:
    """Whether *signer* has signed it."""
    try:
        certificate.verify_directly_issued_by(signer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def has_key(certificate: x509.Certificate, key: Key) -> bool:
    return certificate.public_key() == key.public_key()


def remaining(certificate: x509.Certificate) -> timedelta:
    return certificate.not_valid_after_utc - datetime.now(UTC)


def load_key(text: bytes) -> Key:
    """Raises ValueError or TypeError; of a key that has a password, too."""
    key = serialization.load_pem_private_key(text, password=None)
    if not isinstance(key, Key):
        raise ValueError("a key of this kind cannot sign")  # noqa: TRY004  (its text is at fault, not its type)
    return key


def _alt_names(extensions: x509.Extensions) -> tuple[str, ...]:
    try:
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(text_of(name) for name in names)


def text_of(name: x509.GeneralName) -> str:
    match name:
        case x509.IPAddress():
            return f"IP:{name.value}"
        case x509.DNSName():
            return f"DNS:{name.value}"
        case x509.UniformResourceIdentifier():
            return f"URI:{name.value}"
        case _:
            raise BadRequest(f"an alternative name is an IP, a DNS name or a URI, not {type(name).__name__}")


def _printable(text: str) -> str:
    """Raises ValueError."""
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("it must be ASCII, without spaces")
    return text


def _named(common_name: str) -> x509.Name:
    cut = common_name.encode()[:_LONGEST_NAME].decode(errors="ignore")
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cut or "nobody")])


def _identifier_of(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    try:
        known = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        public_key = issuer.public_key()
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(public_key)  # type: ignore[arg-type]
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(known)


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )
