"""What the configuration says of internal TLS."""

from pathlib import Path

import pytest
from cryptography import x509
from traitlets.config import Config

from hubbub.config import ConfigError, Options
from hubbub.internal_tls import certificates, options
from hubbub.internal_tls.authorities import kept
from hubbub.settings import Settings


def configured(tmp_path: Path = Path(), proxy=None, **hub) -> Options:
    traits = Config({"JupyterHub": {"internal_ssl": True, **hub}, "ConfigurableHTTPProxy": proxy or {}})
    return Options(traits, Settings(instance="test", data=str(tmp_path)))


def test_every_address_inside_is_https():
    found = configured(hub_bind_url="http://10.0.0.7:9000")
    assert found.hub_bind_url == "https://10.0.0.7:9000/hub/"
    assert found.hub_connect_url == "https://10.0.0.7:9000"
    assert found.hub_api_url == "https://10.0.0.7:9000/hub/api"
    assert found.proxy_api_url == "https://127.0.0.1:8001"
    assert found.bind_url == "http://:8000/"


def test_so_are_those_that_a_supervisor_has_chosen():
    settings = Settings(instance="t", hub_bind_url="http://127.0.0.1:1234/hub/", proxy_api_url="http://127.0.0.1:5678/")
    found = Options(Config({"JupyterHub": {"internal_ssl": True}}), settings)
    assert found.hub_bind_url == "https://127.0.0.1:1234/hub/"
    assert found.hub_connect_url == "https://127.0.0.1:1234"
    assert found.proxy_api_url == "https://127.0.0.1:5678"


def test_a_hub_that_is_reached_at_another_address_is_so_by_https():
    assert configured(hub_connect_url="http://hub.example.org:80/x").hub_connect_url == "https://hub.example.org:80"
    assert configured(hub_connect_ip="hub").hub_connect_url == "https://hub:8081"


def test_a_proxy_that_others_start_is_where_the_operator_says():
    proxy = {"should_start": False, "api_url": "http://10.0.0.8:8001"}
    assert configured(proxy=proxy).proxy_api_url == "http://10.0.0.8:8001"


def test_without_it_nothing_changes():
    found = Options(Config())
    assert (found.hub_bind_url, found.proxy_api_url) == ("http://127.0.0.1:8081/hub/", "http://127.0.0.1:8001")


def test_the_folder_is_below_the_data_folder_unless_it_says_where(tmp_path):
    assert configured(tmp_path).certs_folder == tmp_path / "internal-ssl"
    assert configured(tmp_path, internal_certs_location="/etc/tls").certs_folder == Path("/etc/tls")


def test_the_hub_has_the_names_by_which_it_is_reached(tmp_path):
    found = configured(
        tmp_path, hub_bind_url="http://10.0.0.7:9000", hub_connect_ip="hub", trusted_alt_names=["DNS:h.example.org"]
    )
    options.settle(found)
    certificate = x509.load_pem_x509_certificate(kept(found.certs_folder, "hub-internal").certfile.read_bytes())
    names = certificates.alt_names_of(certificate)
    assert {"IP:127.0.0.1", "DNS:localhost", "IP:10.0.0.7", "DNS:hub", "DNS:h.example.org"} <= set(names)


def test_the_proxys_api_has_the_name_by_which_it_is_reached(tmp_path):
    assert "10.0.0.8" in options.proxy_names(configured(proxy={"api_url": "http://10.0.0.8:8001"}))


@pytest.mark.parametrize(
    ("said", "names"),
    [
        ({"external_ssl_authorities": {"hub": {"cert": "x"}}}, r"external_ssl_authorities\['hub'\]: there are hub-ca"),
        ({"external_ssl_authorities": {"hub-ca": {"key": "x"}}}, r"external_ssl_authorities\['hub-ca'\] must have"),
        ({"external_ssl_authorities": {"hub-ca": {"cert": "x", "c": "x"}}}, r"\['hub-ca'\] must have"),
        ({"trusted_alt_names": ["IP:nowhere"]}, "trusted_alt_names: 'IP:nowhere'"),
        ({"internal_ssl": "maybe"}, "internal_ssl"),
    ],
)
def test_what_cannot_be_meant_is_named(said, names):
    with pytest.raises(ConfigError, match=names):
        configured(**said)
