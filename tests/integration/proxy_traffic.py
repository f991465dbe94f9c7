"""Of the proxies' suite: what passes through one, both ways, and what must not."""

import gzip
import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from multidict import CIMultiDict

import raw
from browser import Browser
from echo_standin import ZIPPED
from proxy_stage import PASSWORD, Stage
from stack import eventually

MEGABYTE = 2**20
LARGE = 64 * MEGABYTE
#: A piece is as long as a buffer of no proxy.
PIECE = MEGABYTE


#: What a client may claim about itself.
FORGED = (
    "X-Forwarded-For: 6.6.6.6", "X-Forwarded-For: 7.7.7.7", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil.test",
    "X-Scheme: https", "Forwarded: for=6.6.6.6;proto=https;host=evil.test",
)  # fmt: skip


def pieces(size: int) -> Iterator[bytes]:
    """That many bytes, each piece another."""
    for start in range(0, size, PIECE):
        yield (start.to_bytes(8) * (PIECE // 8))[: min(PIECE, size - start)]


def digest_of(size: int) -> str:
    digest = hashlib.sha256()
    for piece in pieces(size):
        digest.update(piece)
    return digest.hexdigest()


def values(answer: raw.Answer, name: str) -> list[str]:
    """Of all headers of this name that the upstream saw, parts of lists apart."""
    found = [value for key, value in answer.json()["headers"] if key.lower() == name.lower()]
    return [part.strip() for value in found for part in value.split(",")]


def _parsed(line: str) -> dict[str, Any]:
    try:
        return dict(json.loads(line))
    except ValueError:
        return {}


class Traffic:
    # Requests and answers --------------------------------------------------------------------

    @pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "POST", "OPTIONS", "PROPFIND"])
    async def test_each_method_arrives_with_its_body(self, stage: Stage, method: str):
        answer = await stage.ask(f"{stage.places['ada']}x", method=method, body=b"of it")
        said = answer.json()
        assert (answer.status, said["method"], said["bytes"]) == (200, method, 5)
        assert said["sha256"] == hashlib.sha256(b"of it").hexdigest()

    async def test_head_has_the_length_and_no_body(self, stage: Stage):
        async with raw.line(stage.hub.url) as line:
            place = stage.places["ada"]
            await line.send(raw.request(f"{place}_gzip", method="HEAD"))
            assert (await line.answer(of_head=True)).header("Content-Length") == str(len(ZIPPED))
            await line.send(raw.request(f"{place}after"))
            assert (await line.answer()).json()["target"] == f"{place}after"

    async def test_a_connection_is_kept_and_each_request_on_it_goes_to_its_own_server(self, stage: Stage):
        asked = ["ada", "bob", "ada/lab", "jürgen", "service", "two words"] * 10
        async with raw.line(stage.hub.url) as line:
            for whose in asked:
                await line.send(raw.request(stage.places[whose]))
                assert stage.whose(await line.answer()) == whose

    async def test_requests_that_do_not_wait_are_answered_in_their_order(self, stage: Stage):
        asked = ["ada", "bob", "ada/lab", "jürgen", "service"]
        async with raw.line(stage.hub.url) as line:
            await line.send(b"".join(raw.request(f"{stage.places[whose]}{n}") for n, whose in enumerate(asked)))
            for number, whose in enumerate(asked):
                answer = await line.answer()
                assert (stage.whose(answer), answer.json()["target"][-1]) == (whose, str(number))

    async def test_what_is_zipped_stays_zipped(self, stage: Stage):
        for accepted in ("gzip", "identity"):
            answer = await stage.ask(f"{stage.places['ada']}_gzip", f"Accept-Encoding: {accepted}")
            assert (answer.header("Content-Encoding"), answer.body) == ("gzip", ZIPPED)
        unasked = await stage.ask(f"{stage.places['ada']}_gzip")
        zipped = unasked.header("Content-Encoding") == "gzip"
        assert (unasked.body if zipped else gzip.compress(unasked.body, mtime=0)) == ZIPPED
        plain = await stage.ask(f"{stage.places['ada']}x", "Accept-Encoding: gzip, br, zstd")
        assert plain.header("Content-Encoding") == "" and plain.json()["method"] == "GET"

    # Headers --------------------------------------------------------------------------------

    async def test_a_server_is_told_who_asks_and_how_and_nobody_can_lie_about_it(self, stage: Stage):
        """What the client has sent itself is no more than the beginning of a list."""
        stripped = ("Connection: X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host, Cookie", "Cookie: a=b")
        for headers in ((), FORGED, stripped, (*FORGED, *stripped)):
            answer = await stage.ask(stage.places["ada"], *headers, host="hub.test:8000")
            assert values(answer, "Host") == ["hub.test:8000"]
            assert values(answer, "X-Forwarded-For")[-1].removeprefix("::ffff:") == "127.0.0.1"
            assert values(answer, "X-Forwarded-Proto")[-1] == "http"
            if not (FORGED[0] in headers and stage.kind.trusts_host):
                assert values(answer, "X-Forwarded-Host")[-1] == "hub.test:8000"

    async def test_the_hub_takes_nobodys_word_for_their_address(self, stage: Stage):
        """What they say of the scheme harms themselves alone: cookies that their browser does not send back."""
        forged = CIMultiDict(line.split(": ") for line in (*FORGED, "X-Real-IP: 6.6.6.6") if "https" not in line)
        async with Browser(stage.hub.url) as browser:
            browser.session.headers.extend(forged)
            _, page = await browser.get("/hub/login?next=%2Fhub%2Fhome")
            status, _ = await browser.send(page, {"username": "liar", "password": PASSWORD})
            assert (status, browser.url.origin()) == (200, browser.base.origin())
        lines = (stage.hub.data / "log" / "auth-1.log").read_text().splitlines()
        [login] = [line for line in map(_parsed, lines) if line.get("event") == "auth.login" and line["name"] == "liar"]
        assert login["address"] == "127.0.0.1"
        redirect = await stage.ask("/", *FORGED)
        assert redirect.header("Location").startswith("/")

    async def test_large_headers_and_odd_cookies_arrive_to_the_letter(self, stage: Stage):
        cookies = 'a="b, c"; d=%7Be%7D; _xsrf=2|1|0:x==; empty=; spaced=x y; nested={"a":1}'
        long = "z" * 12_000
        answer = await stage.ask(stage.places["ada"], f"Cookie: {cookies}", f"X-Long: {long}", "X-Umlaut: \xfc")
        seen = {key.lower(): value for key, value in answer.json()["headers"]}
        assert (seen["cookie"], seen["x-long"], seen["x-umlaut"]) == (cookies, long, "\xfc")

    async def test_each_cookie_that_a_server_sets_is_set(self, stage: Stage):
        answer = await stage.ask(f"{stage.places['ada']}_cookies")
        found = [value for key, value in answer.headers if key.lower() == "set-cookie"]
        assert found == ["one=1; Path=/", 'two="a b, c"; Path=/; HttpOnly']

    async def test_what_a_request_hides_in_its_body_is_no_request(self, stage: Stage):
        """Whatever a proxy and a server may disagree about: where a body ends."""
        ada = stage.places["ada"]
        hidden = raw.request(f"{stage.places['bob']}hidden").decode()
        for framing in (
            f"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}",
            f"Content-Length: {len(hidden) + 5}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}",
            f"Content-Length: 0\r\nContent-Length: {len(hidden)}\r\n\r\n{hidden}",
            f"Transfer-Encoding: xchunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n{hidden}",
            f"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n{hidden}",
            f"Transfer-Encoding : chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n{hidden}",
            f"Connection: close, Content-Length\r\nContent-Length: {len(hidden)}\r\n\r\n{hidden}",
            f"Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}",
        ):
            async with raw.line(stage.hub.url) as line:
                await line.send(f"POST {ada}shown HTTP/1.1\r\nHost: hub.test\r\n{framing}".encode())
                try:
                    await line.answer()
                except (EOFError, ConnectionError):
                    continue
        assert (await stage.seen("ada"))["strays"] == []

    async def test_an_upgrade_that_is_refused_opens_no_tunnel(self, stage: Stage):
        key = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="
        upgrades = (
            ("Connection: Upgrade", "Upgrade: websocket", key, "Sec-WebSocket-Version: 13"),
            ("Connection: Upgrade", "Upgrade: websocket", key, "Sec-WebSocket-Version: 777"),
            ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"),
        )
        for headers in upgrades:
            async with raw.line(stage.hub.url) as line:
                await line.send(raw.request(f"{stage.places['ada']}x", *headers))
                try:
                    assert (await line.answer()).status != 101
                    await line.send(raw.request(f"{stage.places['bob']}hidden"))
                    assert stage.whose(await line.answer()) in ("bob", "nobody")
                except (EOFError, ConnectionError):
                    continue
        assert (await stage.seen("ada"))["strays"] == []

    # Bodies ---------------------------------------------------------------------------------

    async def test_a_large_upload_is_passed_on_as_it_comes(self, stage: Stage):
        place = f"{stage.places['ada']}up?id=large"
        head = raw.request(place, f"Content-Length: {LARGE}", "Expect: 100-continue", method="PUT")
        async with raw.line(stage.hub.url) as line:
            await line.send(head)
            assert (await line.answer()).status == 100
            sent = pieces(LARGE)
            for _ in range(2):
                await line.send(next(sent))

            async def has_come() -> bool:
                """Though most of it is not yet sent."""
                return bool((await stage.seen("ada"))["uploads"].get("large", 0) > MEGABYTE)

            await eventually(has_come, 10, "the beginning of the upload")
            await line.send(*sent)
            said = await self._answer_after_continue(line)
        assert (said["bytes"], said["sha256"]) == (LARGE, digest_of(LARGE))

    async def test_an_upload_without_a_length_is_passed_on(self, stage: Stage):
        size = 8 * MEGABYTE
        async with raw.line(stage.hub.url) as line:
            await line.send(raw.request(f"{stage.places['bob']}up", "Transfer-Encoding: chunked", method="POST"))
            for piece in pieces(size):
                await line.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            await line.send(b"0\r\n\r\n")
            said = await self._answer_after_continue(line)
        assert (said["bytes"], said["sha256"]) == (size, digest_of(size))

    async def _answer_after_continue(self, line: raw.Line) -> Any:
        """Some pass on a server's `100 Continue` after their own."""
        while (answer := await line.answer()).status == 100:
            continue
        return answer.json()

    async def test_a_large_download_arrives_whole(self, stage: Stage):
        async with raw.line(stage.hub.url) as line:
            await line.send(raw.request(f"{stage.places['ada']}_download?bytes={LARGE}", "Connection: close"))
            body = (await line.answer()).body
        assert len(body) == LARGE + 64
        assert hashlib.sha256(body[:LARGE]).hexdigest().encode() == body[LARGE:]

    async def test_a_server_notices_that_its_client_has_gone(self, stage: Stage):
        async with raw.line(stage.hub.url) as line:
            await line.send(raw.request(f"{stage.places['ada']}_endless?id=leaver"))
            await line.reader.readuntil(b"more")
        await eventually(lambda: self._left(stage), 5, "the server to notice")

    async def _left(self, stage: Stage) -> bool:
        return "leaver" in (await stage.seen("ada"))["left"]
