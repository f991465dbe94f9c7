"""The authorities' folder: made once, kept, taken over from JupyterHub, and what the operator's own files do."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest
from certipy import Certipy
from cryptography import x509

from hubbub.internal_tls import certificates
from hubbub.internal_tls.authorities import CannotSign, kept, settle
from hubbub.internal_tls.files import Files
from hubbub.internal_tls.parts import AUTHORITIES, BUNDLES, KEPT
from hubbub.sections import ConfigError
from hubbub.testing.tls import authorities, issued, shaken

LOCAL = dict.fromkeys(KEPT, ("IP:127.0.0.1",))


def texts(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*.*") if path.suffix != ".lock"}


def test_all_is_there_for_its_owner_alone(tmp_path):
    settle(tmp_path / "tls", LOCAL)
    found = {path for path in (tmp_path / "tls").rglob("*") if path.is_file()}
    made = {path.name for path in found}
    assert {f"{name}.{end}" for name in (*AUTHORITIES, *KEPT) for end in ("key", "crt")} | set(BUNDLES) < made
    assert {stat.S_IMODE(path.stat().st_mode) for path in found} == {0o600}
    assert stat.S_IMODE((tmp_path / "tls").stat().st_mode) == 0o700


def test_the_second_time_nothing_is_made(tmp_path):
    settle(tmp_path, LOCAL)
    before = texts(tmp_path)
    settle(tmp_path, LOCAL)
    assert texts(tmp_path) == before


def test_several_at_once_make_them_once(tmp_path):
    code = f"""
import sys
from pathlib import Path
from hubbub.internal_tls.authorities import settle
sys.stdin.readline()
found = settle(Path({str(tmp_path / "tls")!r}), {LOCAL!r})
sys.stderr.write(found.trust("hub-internal"))
"""
    pipe = subprocess.PIPE
    started = [
        subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        for _ in range(4)
    ]
    for each in started:
        each.stdin.write("\n")
        each.stdin.flush()
    [trust] = {each.communicate(timeout=60)[1] for each in started}
    assert [each.returncode for each in started] == [0, 0, 0, 0]
    assert trust == settle(tmp_path / "tls", LOCAL).trust("hub-internal")


def test_another_name_needs_another_certificate_of_the_same_authority(tmp_path):
    settle(tmp_path, LOCAL)
    before = texts(tmp_path)
    settle(tmp_path, {**LOCAL, "hub-internal": ("IP:127.0.0.1", "DNS:hub.example.org")})
    changed = {name for name, text in texts(tmp_path).items() if before.get(name) != text}
    assert changed == {"hub-internal/hub-internal.key", "hub-internal/hub-internal.crt"}
    worker = issued(authorities(tmp_path), tmp_path / "w", "server")
    assert shaken(kept(tmp_path, "hub-internal"), worker, "127.0.0.1")


@pytest.mark.parametrize("end", ["key", "crt"])
def test_half_a_pair_is_made_anew(tmp_path, end):
    settle(tmp_path, LOCAL)
    (tmp_path / "auth" / f"auth.{end}").write_text("nonsense")
    settle(tmp_path, LOCAL)
    assert shaken(kept(tmp_path, "auth"), kept(tmp_path, "hub-internal"))


def test_what_is_to_be_recreated_is_so_once_until_that_is_asked_for_again(tmp_path):
    first = settle(tmp_path, LOCAL).trust("hub-internal")
    second = settle(tmp_path, LOCAL, recreate=True).trust("hub-internal")
    assert second != first
    assert settle(tmp_path, LOCAL, recreate=True).trust("hub-internal") == second
    assert settle(tmp_path, LOCAL).trust("hub-internal") == second
    assert settle(tmp_path, LOCAL, recreate=True).trust("hub-internal") != second


def test_a_folder_of_jupyterhubs_goes_on_being_used(tmp_path):
    theirs = Certipy(store_dir=str(tmp_path / "tls"))
    trust = theirs.trust_from_graph({name: [*AUTHORITIES] for name in AUTHORITIES})
    pair = theirs.create_signed_pair("user-ada", "notebooks-ca", alt_names=["IP:127.0.0.1"])
    before = Path(trust["hub-ca"]).read_text()
    found = settle(tmp_path / "tls", LOCAL)
    old = Files(
        keyfile=Path(pair["files"]["key"]), certfile=Path(pair["files"]["cert"]), cafile=Path(trust["notebooks-ca"])
    )
    assert shaken(old, kept(tmp_path / "tls", "proxy-client"))
    assert all(each in before for each in found.trust("server").split("-----END CERTIFICATE-----\n"))
    assert shaken(issued(found, tmp_path / "s", "server"), kept(tmp_path / "tls", "proxy-client"))


def external(folder: Path, name: str, *kinds: str) -> dict[str, dict[str, str]]:
    folder.mkdir(exist_ok=True)
    made = certificates.new_authority(f"their {name}")
    (folder / "a.key").write_text(certificates.key_text(made.key))
    (folder / "a.crt").write_text(certificates.text(made.certificate))
    paths = {"key": str(folder / "a.key"), "cert": str(folder / "a.crt")}
    return {name: {kind: paths[kind] for kind in kinds}}


def test_an_authority_of_the_operators_signs_and_is_trusted(tmp_path):
    theirs = external(tmp_path / "x", "notebooks-ca", "key", "cert")
    found = settle(tmp_path / "tls", LOCAL, external=theirs)
    server = issued(found, tmp_path / "s", "server")
    issuer = x509.load_pem_x509_certificate(server.certfile.read_bytes()).issuer.rfc4514_string()
    assert issuer == "CN=their notebooks-ca"
    assert shaken(server, kept(tmp_path / "tls", "proxy-client"))
    assert not (tmp_path / "tls" / "notebooks-ca").exists()


def test_an_authority_without_its_key_is_trusted_but_does_not_sign(tmp_path):
    found = settle(tmp_path / "tls", LOCAL, external=external(tmp_path / "x", "proxy-client-ca", "cert"))
    assert (tmp_path / "x" / "a.crt").read_text() in found.trust("hub-internal")
    assert not (tmp_path / "tls" / "proxy-client" / "proxy-client.crt").exists()
    with pytest.raises(CannotSign, match="proxy-client-ca"):
        issued(found, tmp_path / "p", "proxy-client")


def test_the_hub_cannot_do_without_the_key_of_its_authority(tmp_path):
    with pytest.raises(ConfigError, match="no key of hub-ca"):
        settle(tmp_path / "tls", LOCAL, external=external(tmp_path / "x", "hub-ca", "cert"))


def test_files_that_are_wrong_are_named(tmp_path):
    wrong = external(tmp_path / "x", "services-ca", "key", "cert")
    (tmp_path / "x" / "a.key").write_text(certificates.key_text(certificates.new_key()))
    with pytest.raises(ConfigError, match=r"the key of services-ca, .*a\.key, is not that of its certificate"):
        settle(tmp_path / "tls", LOCAL, external=wrong)
    (tmp_path / "x" / "a.key").write_text("nonsense")
    with pytest.raises(ConfigError, match="the key of services-ca"):
        settle(tmp_path / "tls", LOCAL, external=wrong)
    (tmp_path / "x" / "a.crt").unlink()
    with pytest.raises(ConfigError, match=r"a file of services-ca, .*a\.crt"):
        settle(tmp_path / "tls", LOCAL, external=wrong)
