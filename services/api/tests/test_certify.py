"""Which certificates an api signs, and for whom."""

from pathlib import Path

import msgspec
import pytest
from cryptography import x509

from hubbub.domain.server_messages import ClaimAttempt, CreateServer, StartServer
from hubbub.internal_tls import certificates
from hubbub.internal_tls.files import Files
from hubbub.internal_tls.orders import Order
from hubbub.rpc import Certified, Certify
from hubbub.testing.tls import authorities, issued, shaken
from hubbub.views import SERVERS
from hubbub_api.certify import MOST, Certifier

from .conftest import BY_TEST, LATER, House

WORKER = "hub.rpc.certify.default.worker-1"


@pytest.fixture
def certifier(house: House, tmp_path: Path) -> Certifier:
    return Certifier(house.pool, authorities(tmp_path / "authorities"))


async def asked(certifier: Certifier, subject: str, *orders: Order) -> Certified:
    return await certifier.certify(
        subject, msgspec.json.encode(Certify(requests=tuple(each.request for each in orders)))
    )


def started(pool: str = "default", worker: str = "worker-1"):
    return (
        StartServer(at=LATER, pool=pool, prefix="/user/ada/", deadline=LATER),
        ClaimAttempt(attempt=1, worker=worker, host="h", token="t", deadline=LATER),
    )


async def held(house: House, **who: str) -> str:
    if await house.views.user("ada") is None:
        await house.person("ada")
    return await house.server("ada", "", *started(**who))


async def test_a_server_is_whose_the_log_says(house: House, certifier: Certifier, tmp_path: Path):
    server = await held(house)
    order = Order.of("server", "somebody-else", ["127.0.0.1"], server=server, attempt=1)
    [signed] = (await asked(certifier, WORKER, order)).signed
    certificate = x509.load_pem_x509_certificate(signed.certificate.encode())
    assert certificate.subject.rfc4514_string() == "CN=user-ada"
    assert certificate.issuer.rfc4514_string() == "CN=notebooks-ca"
    assert certificates.alt_names_of(certificate) == ("IP:127.0.0.1", f"URI:urn:hubbub:server:{server}:1")
    files = Files.within(tmp_path, "server")
    order.write(signed, files)
    assert shaken(files, issued(authorities(tmp_path / "authorities"), tmp_path / "p", "proxy-client"))


async def test_a_managed_service_has_one_of_the_services(house: House, certifier: Certifier):
    for command in (CreateServer(user="", name="board"), *started()):
        await house.committer.execute(SERVERS, "managed:board", command, BY_TEST.follow())
    [signed] = (await asked(certifier, WORKER, Order.of("server", "", [], server="managed:board", attempt=1))).signed
    certificate = x509.load_pem_x509_certificate(signed.certificate.encode())
    assert certificate.subject.rfc4514_string() == "CN=service-board"
    assert certificate.issuer.rfc4514_string() == "CN=services-ca"


@pytest.mark.parametrize(
    ("subject", "attempt", "server"),
    [
        ("hub.rpc.certify.default.worker-2", 1, ""),
        ("hub.rpc.certify.gpu.worker-1", 1, ""),
        (WORKER, 2, ""),
        (WORKER, 1, "no-such-server"),
    ],
)
async def test_nobody_gets_one_of_a_server_that_is_not_theirs(house: House, certifier, subject, attempt, server):
    mine = await held(house)
    order = Order.of("server", "ada", ["127.0.0.1"], server=server or mine, attempt=attempt)
    answer = await asked(certifier, subject, order)
    assert answer.refused is not None and answer.refused.kind == "StaleAttempt" and not answer.signed


async def test_a_server_that_has_stopped_gets_none(house: House, certifier: Certifier):
    await house.person("ada")
    server = await house.server("ada")
    answer = await asked(certifier, WORKER, Order.of("server", "ada", [], server=server, attempt=0))
    assert answer.refused is not None and answer.refused.kind == "StaleAttempt"


@pytest.mark.parametrize(
    ("subject", "part"),
    [
        *(
            (WORKER, part)
            for part in ("proxy-api", "proxy-client", "proxy-sync", "hub-internal", "auth", "service", "x")
        ),
        *(("hub.rpc.certify.proxy.p-1", part) for part in ("worker", "server", "hub-internal", "auth", "service")),
    ],
)
async def test_each_gets_its_own_kinds_alone(certifier: Certifier, subject: str, part: str):
    answer = await asked(certifier, subject, Order.of(part, "x", ["127.0.0.1"]))
    assert answer.refused is not None and answer.refused.kind == "Forbidden" and not answer.signed


async def test_a_proxy_sync_gets_all_of_a_proxys_at_once(certifier: Certifier):
    orders = [Order.of(part, part, ["127.0.0.1"]) for part in ("proxy-sync", "proxy-api", "proxy-client")]
    answer = await asked(certifier, "hub.rpc.certify.proxy.p-1", *orders)
    issuers = [x509.load_pem_x509_certificate(each.certificate.encode()).issuer for each in answer.signed]
    assert [each.rfc4514_string() for each in issuers] == ["CN=hub-ca", "CN=proxy-api-ca", "CN=proxy-client-ca"]


async def test_what_is_no_request_is_refused_and_so_are_too_many(certifier: Certifier):
    order = Order.of("worker", "w", [])
    broken = msgspec.structs.replace(order, request=msgspec.structs.replace(order.request, request="nonsense"))
    for orders in ((order, broken), (order,) * (MOST + 1)):
        answer = await asked(certifier, WORKER, *orders)
        assert answer.refused is not None and answer.refused.kind == "Invalid" and not answer.signed


async def test_without_internal_tls_there_is_none(house: House):
    answer = await asked(Certifier(house.pool, None), WORKER, Order.of("worker", "w", []))
    assert answer.refused is not None and "internal_ssl" in answer.refused.message
