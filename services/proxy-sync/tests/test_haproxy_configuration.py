"""What HAProxy is told at its start."""

from dataclasses import replace
from pathlib import Path

import pytest

from hubbub_proxy_sync.proxies.haproxy.configuration import Wishes, render
from hubbub_proxy_sync.proxies.haproxy.folder import Folder, mark_of

USUAL = Wishes(bind_url="http://127.0.0.1:8000/base/", maxconn=100)


def binds(wishes: Wishes) -> list[str]:
    return [line.strip().removeprefix("bind ") for line in render(wishes).splitlines() if line.startswith("    bind ")]


@pytest.mark.parametrize(
    ("bind_url", "expected"),
    {
        "http://127.0.0.1:8000/x/": ["127.0.0.1:8000"],
        "http://:8000": ["*:8000", "[::]:8000 v6only"],
        "http://*:8000": ["*:8000", "[::]:8000 v6only"],
        "http://[::]:8000": ["*:8000", "[::]:8000 v6only"],
        "http://0.0.0.0:8000": ["0.0.0.0:8000"],
        "http://[::1]:8000": ["[::1]:8000"],
        "http://hub.test": ["hub.test:80"],
    }.items(),
)
def test_it_listens_where_people_come_in(bind_url: str, expected: list[str]) -> None:
    assert expected == binds(replace(USUAL, bind_url=bind_url))


def test_without_ipv6_it_listens_without() -> None:
    assert ["*:80"] == binds(replace(USUAL, bind_url="http://", ipv6=False))


def test_with_tls_it_speaks_http2_too() -> None:
    assert ["*:443 ssl crt public.pem alpn h2,http/1.1"] == binds(
        replace(USUAL, bind_url="https://", tls=True, ipv6=False)
    )
    assert "X-Forwarded-Proto https" in render(replace(USUAL, tls=True))


def test_servers_are_never_led_to_by_tls_unchecked() -> None:
    for wishes in (replace(USUAL, authorities="/etc/ca.pem"), replace(USUAL, secure=True)):
        servers = [line for line in render(wishes).splitlines() if " ssl " in line]
        assert 2 == len(servers)
        assert all("verify required ca-file" in line for line in servers)
    assert "https" not in render(USUAL).replace("https://", "")


def test_files_are_where_they_are_said_to_be() -> None:
    text = render(replace(USUAL, folder="/etc/haproxy/hubbub", tls=True, secure=True))
    for name in ("hubbub.map", "haproxy.sock", "public.pem", "client.pem", "client-ca.pem", "server-503.http"):
        assert text.count(name) == text.count(f"/etc/haproxy/hubbub/{name}") > 0


def test_the_operators_lines_are_in_their_sections() -> None:
    text = render(replace(USUAL, extra_global="  nbthread 2\n\n", extra_frontend="a\nb"))
    assert "    nbthread 2\n" in text.partition("defaults")[0]
    assert "    a\n    b\n" in text.partition("frontend public")[2].partition("backend")[0]


def test_the_mark_is_another_with_other_files() -> None:
    files = {"a": b"1", "b": b"2"}
    marks = {mark_of(files), mark_of({**files, "b": b"3"}), mark_of({"a": b"1"}), mark_of({"a": b"1b", "": b"2"})}
    assert 4 == len(marks)
    assert mark_of(files) == mark_of(dict(reversed(files.items())))


def test_files_are_for_us_alone(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "run" / "haproxy")
    folder.write({"public.pem": b"secret"})
    assert 0o600 == (folder.path / "public.pem").stat().st_mode & 0o777
    assert 0o700 == folder.path.stat().st_mode & 0o777
    beside = folder.write({"public.pem": b"other"}, beside=True)
    assert ("secret", "other") == (folder.read("public.pem"), (beside / "public.pem").read_text())
    folder.forget_tried()
    assert not beside.exists()
    assert folder.read("nothing") == ""
