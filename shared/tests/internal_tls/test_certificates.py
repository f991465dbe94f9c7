"""Keys, requests and certificates."""

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from hubbub.internal_tls import certificates
from hubbub.internal_tls.certificates import BadRequest
from hubbub.internal_tls.parts import PARTS

NAMES = ("IP:127.0.0.1", "IP:::1", "DNS:*.example.org", "URI:urn:hubbub:server:1:2")


def signed(name="user-ada", alt_names=NAMES):
    signer, key = certificates.new_authority("notebooks-ca"), certificates.new_key()
    return certificates.sign(signer, PARTS["server"], name, key.public_key(), alt_names)


def test_a_request_says_who_asks_and_by_which_names():
    key = certificates.new_key()
    asked = certificates.read(certificates.request(key, "ada", [*NAMES, *NAMES]))
    assert (asked.common_name, asked.alt_names) == ("ada", NAMES)
    assert asked.public_key == key.public_key()


def test_a_certificate_has_the_names_and_lasts_for_more_than_a_year():
    made = signed()
    assert certificates.alt_names_of(made) == NAMES
    assert certificates.remaining(made) > timedelta(days=365)


def test_an_authority_lasts_for_ten_years_and_can_make_no_other():
    made = certificates.new_authority("hub-ca").certificate
    assert certificates.remaining(made) > timedelta(days=3650)
    basic = made.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (basic.ca, basic.path_length) == (True, 0)


def test_nothing_outlives_its_authority(monkeypatch):
    monkeypatch.setattr(certificates, "AUTHORITY_LIFE", timedelta(days=9))
    signer = certificates.new_authority("hub-ca")
    made = certificates.sign(signer, PARTS["worker"], "w", certificates.new_key().public_key(), ())
    assert made.not_valid_after_utc == signer.certificate.not_valid_after_utc


@pytest.mark.parametrize(("text", "same"), [("10.0.0.7", "IP:10.0.0.7"), ("::1", "IP:::1"), ("host", "DNS:host")])
def test_a_bare_alternative_name_is_an_address_or_a_host(text, same):
    assert certificates.alt_name(text) == certificates.alt_name(same)


@pytest.mark.parametrize(
    "text", ["", "IP:", "IP:host", "DNS:", "DNS:a b", "email:x@example.org", "DNS:h\u00f6st", "a\nb"]
)
def test_what_is_no_alternative_name_is_refused(text):
    with pytest.raises(BadRequest):
        certificates.alt_name(text)


def test_a_long_name_is_cut():
    name = signed("user-" + "\u00e9" * 80).subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    assert name == "user-" + "\u00e9" * 29


@pytest.mark.parametrize("text", ["", "nonsense", certificates.text(certificates.new_authority("x").certificate)])
def test_what_is_no_request_is_refused(text):
    with pytest.raises(BadRequest):
        certificates.read(text)


def test_a_request_for_somebody_elses_key_is_refused():
    mine = certificates.request(certificates.new_key(), "ada", ())
    found = x509.load_pem_x509_csr(mine.encode())
    broken = bytearray(found.public_bytes(serialization.Encoding.DER))
    broken[-1] ^= 1
    text = x509.load_der_x509_csr(bytes(broken)).public_bytes(serialization.Encoding.PEM).decode()
    with pytest.raises(BadRequest):
        certificates.read(text)


def test_names_that_are_neither_addresses_nor_hosts_are_refused():
    key = certificates.new_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    names = x509.SubjectAlternativeName([x509.RFC822Name("ada@example.org")])
    request = x509.CertificateSigningRequestBuilder(subject).add_extension(names, critical=False)
    text = request.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
    with pytest.raises(BadRequest, match="RFC822Name"):
        certificates.read(text)


def test_nobody_has_hundreds_of_names():
    with pytest.raises(BadRequest, match="100"):
        signed(alt_names=[f"DNS:h{n}" for n in range(101)])
