"""A browser's part of a login: cookies, redirects and forms, without its rendering."""

import html
import json
import re
import uuid
from html.parser import HTMLParser
from http.cookies import BaseCookie
from typing import Any

import aiohttp
from yarl import URL


class _Form:
    def __init__(self, action: str) -> None:
        self.action = action
        self.fields: dict[str, str] = {}
        self.names: set[str] = set()


class _Forms(HTMLParser):
    """The forms of a page, with what is in their fields."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[_Form] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "form":
            self.found.append(_Form(found.get("action") or ""))
        if tag in ("input", "textarea", "button") and found.get("name") and self.found:
            self.found[-1].names.add(str(found["name"]))
            if tag != "button":  # which is sent if it is pressed
                self.found[-1].fields[str(found["name"])] = found.get("value") or ""


class Jar(aiohttp.CookieJar):
    """It compares paths as they are written, quoted, as browsers do."""

    def filter_cookies(self, request_url: URL = URL()) -> BaseCookie[str]:  # noqa: B008  (as aiohttp has it)
        return super().filter_cookies(request_url.with_path(request_url.raw_path))


class Browser:
    """Cookies live as long as it does. `url` is where the last page came from."""

    def __init__(self, base: str, connector: aiohttp.BaseConnector | None = None) -> None:
        self.base = URL(base)
        self.session = aiohttp.ClientSession(cookie_jar=Jar(unsafe=True), connector=connector)
        self.url = self.base

    async def __aenter__(self) -> "Browser":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.session.close()

    async def get(self, path: str, **kwargs: Any) -> tuple[int, str]:
        async with self.session.get(self.url.join(URL(path, encoded=True)), **kwargs) as response:
            self.url = response.url
            return response.status, await response.text()

    async def login(self, name: str, password: str) -> tuple[int, str]:
        """Fill in the login form, from the front door on."""
        status, page = await self.get(str(self.base))
        assert status == 200, page
        return await self.send(page, {"username": name, "password": password})

    async def send(self, page: str, fields: dict[str, str]) -> tuple[int, str]:
        """Fill *fields* into the form of the *page* where they are, and send it."""
        [form, *_] = [form for form in _Forms(page).found if fields.keys() <= form.names]
        action = self.url.join(URL(form.action or str(self.url), encoded=True))
        async with self.session.post(action, data={**form.fields, **fields}) as response:
            self.url = response.url
            return response.status, await response.text()

    async def pressed(self, page: str, fields: dict[str, str]) -> str:
        """Where it leads to send the form, which nobody follows."""
        [form, *_] = [form for form in _Forms(page).found if fields.keys() <= form.names]
        action = self.url.join(URL(form.action or str(self.url), encoded=True))
        async with self.session.post(action, data={**form.fields, **fields}, allow_redirects=False) as response:
            return response.headers["Location"]

    async def follow(self, page: str, words: str) -> tuple[int, str]:
        """The first link in the *page* with these words (a regular expression) in its text."""
        links = re.findall(r"""<a\s[^>]*href=["']([^"']+)["'][^>]*>([^<]*)""", page)
        [place, *_] = [html.unescape(place) for place, text in links if re.search(words, text)]
        return await self.get(place)

    def cookie(self, name: str, path: str = "/hub/") -> str:
        found = self.session.cookie_jar.filter_cookies(self.base.join(URL(path)))
        return found[name].value if name in found else ""

    def xsrf(self, path: str = "/hub/") -> dict[str, str]:
        return {"X-XSRFToken": self.cookie("_xsrf", path)}

    async def progress(self, url: str) -> list[dict[str, Any]]:
        """The events of a progress stream, until it ends."""
        events = []
        headers = {"Sec-Fetch-Mode": "cors", **self.xsrf()}
        async with self.session.get(self.base.join(URL(url)), headers=headers) as response:
            assert response.status == 200, await response.text()
            async for line in response.content:
                if line.startswith(b"data: "):
                    events.append(json.loads(line[6:]))
        return events

    async def compute(self, prefix: str, code: str) -> str:
        """Run *code* in a new kernel of the server at *prefix*, over its WebSocket; the result's text."""
        place = self.base.join(URL(prefix))
        async with self.session.post(place.join(URL("api/kernels")), headers=self.xsrf(prefix), json={}) as response:
            assert response.status == 201, await response.text()
            kernel = (await response.json())["id"]
        session = uuid.uuid4().hex
        header = {"msg_id": uuid.uuid4().hex, "msg_type": "execute_request", "session": session, "username": "",
                  "version": "5.3", "date": "2026-01-01T00:00:00Z"}  # fmt: skip
        content = {"code": code, "silent": False, "store_history": False, "user_expressions": {}, "allow_stdin": False}
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
        channels = place.join(URL(f"api/kernels/{kernel}/channels")).with_query(session_id=session)
        async with self.session.ws_connect(channels) as socket:
            await socket.send_json(message)
            async for received in socket:
                answer = json.loads(received.data)
                if answer["parent_header"].get("msg_id") != header["msg_id"]:
                    continue
                if answer["msg_type"] == "execute_result":
                    return str(answer["content"]["data"]["text/plain"])
                assert answer["msg_type"] != "error", answer["content"]
        raise AssertionError("the kernel closed its channels")


def password_in(lines: list[str]) -> str:
    """The one that `hubbub up` prints at start."""
    [found] = [match[1] for line in lines if (match := re.search(r"with the password (\S+)", line))]
    return found
