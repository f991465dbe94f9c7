"""Which proxy is meant, where its options are, and the certificate that people see."""

from pathlib import Path
from typing import Any

import pytest
from traitlets.config import Config

from hubbub import public_tls
from hubbub.config import Options
from hubbub.proxy_class import has_api, sections
from hubbub.sections import ConfigError, Hub
from hubbub.testing.tls import authorities, issued


class Proxy:
    pass


class ConfigurableHTTPProxy(Proxy):
    pass


class Quiet(ConfigurableHTTPProxy):
    """As an operator may have one in the file."""


def options(hub: dict[str, Any] | None = None, **said: dict[str, Any]) -> Options:
    return Options(Config({"JupyterHub": hub or {}, **said}))


@pytest.mark.parametrize(
    ("chosen", "found", "spoken_to"),
    [
        ("default", ["Proxy", "ConfigurableHTTPProxy"], True),
        ("jupyterhub.proxy.ConfigurableHTTPProxy", ["Proxy", "ConfigurableHTTPProxy"], True),
        ("haproxy", ["Proxy", "HAProxy"], False),
        ("some.where.QuietProxy", ["Proxy", "ConfigurableHTTPProxy", "BaseProxy", "QuietProxy"], True),
        ("hubbub_proxy_sync.proxies.haproxy.HAProxy", ["Proxy", "BaseProxy", "HAProxy"], False),
        (Quiet, ["Proxy", "ConfigurableHTTPProxy", "Quiet"], True),
        (Proxy, ["Proxy"], False),
    ],
)
def test_options_stand_under_the_names_of_the_class(chosen: Any, found: list[str], spoken_to: bool) -> None:
    assert (sections(chosen, ["Proxy", "BaseProxy", "JupyterHub"]), has_api(chosen)) == (found, spoken_to)


def test_the_most_special_section_has_the_last_word() -> None:
    said = {"Proxy": {"should_start": False}, "ConfigurableHTTPProxy": {"should_start": True, "api_url": "http://:1"}}
    assert options(**said).proxy_should_start is True
    assert options({"proxy_class": Quiet}, **said, Quiet={"should_start": False}).proxy_should_start is False
    assert options({"proxy_class": "haproxy"}, **said).proxy_should_start is False
    assert options(**said).proxy_api_configured
    assert not options({"proxy_class": "haproxy"}, **said).proxy_api_configured


def test_options_of_a_class_of_an_operators_own_are_not_named() -> None:
    said = {"QuietProxy": {"loud": 0}, "BaseProxy": {"a": 1}}
    assert options({"proxy_class": "some.where.QuietProxy"}, **said).warnings == []
    assert {text.split()[0] for text in options(**said).warnings} == {"c.QuietProxy.loud", "c.BaseProxy.a"}


def test_what_was_said_before_there_were_proxy_classes_still_counts() -> None:
    old = {"proxy_cmd": "chp", "proxy_auth_token": "t" * 8, "proxy_check_interval": 7, "proxy_api_ip": "127.0.0.9"}
    found = options(old | {"port": 9000, "debug_proxy": True})
    assert (found.proxy.command, found.proxy.auth_token, found.proxy.debug) == ("chp", "t" * 8, True)
    assert found.proxy_api_url == "http://127.0.0.9:9001"
    assert found.traits["ConfigurableHTTPProxy"]["check_running_interval"] == 7
    assert options({"proxy_api_port": 5}).proxy_api_url == "http://127.0.0.1:5"
    assert found.warnings == []


@pytest.mark.parametrize("name", ["ssl_key", "ssl_cert"])
def test_half_of_tls_is_none(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"c\.JupyterHub\.{name} is set, but c\.JupyterHub\.ssl_.* is not"):
        options({name: "x.pem"})


def test_a_proxy_of_others_may_speak_tls_without_us() -> None:
    assert options({"bind_url": "https://:443/"}, Proxy={"should_start": False}).bind_url == "https://:443/"


def test_the_files_have_to_be_there_and_belong_together(tmp_path: Path) -> None:
    found = authorities(tmp_path / "authorities")
    one, two = (issued(found, tmp_path / name, "hub-internal") for name in ("one", "two"))
    (tmp_path / "nonsense").write_text("nonsense")

    def check(key: Path, certificate: Path) -> None:
        public_tls.check_files(Hub(ssl_key=str(key), ssl_cert=str(certificate)))

    check(one.keyfile, one.certfile)
    public_tls.check_files(Hub())
    with pytest.raises(ConfigError, match=r"^c\.JupyterHub\.ssl_cert: cannot read .*/none: No such file"):
        check(one.keyfile, tmp_path / "none")
    for key, certificate in ((one.keyfile, two.certfile), (one.keyfile, tmp_path / "nonsense")):
        with pytest.raises(ConfigError, match=r"^c\.JupyterHub\.ssl_key and c\.JupyterHub\.ssl_cert: .* belong"):
            check(key, certificate)


def test_a_locked_key_is_opened_with_the_passphrase_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cryptography.hazmat.primitives import serialization

    files = issued(authorities(tmp_path / "authorities"), tmp_path / "one", "hub-internal")
    key = serialization.load_pem_private_key(files.keyfile.read_bytes(), None)
    locked = tmp_path / "locked.key"
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"sesame"),
        )
    )
    assert public_tls.mismatch(str(locked), str(files.certfile))
    monkeypatch.setenv(public_tls.PASSPHRASE, "sesame")
    assert not public_tls.mismatch(str(locked), str(files.certfile))


def test_a_renewed_certificate_shows(tmp_path: Path) -> None:
    found = authorities(tmp_path / "authorities")
    files = issued(found, tmp_path / "one", "hub-internal")
    before = public_tls.state_of(str(files.keyfile), str(files.certfile))
    assert before == public_tls.state_of(str(files.keyfile), str(files.certfile)) != ""
    issued(found, tmp_path / "one", "hub-internal")
    assert before != public_tls.state_of(str(files.keyfile), str(files.certfile))
    assert public_tls.state_of("", "") == public_tls.state_of("/no/such", "/file") == ""
