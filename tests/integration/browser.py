"""A browser's part of a login: cookies, redirects and forms, without its rendering."""

import html
import json
import re
import uuid
from html.parser import HTMLParser
from typing import Any

import aiohttp
from yarl import URL


class _Form(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}
        self.action = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "form":
            self.action = found.get("action") or ""
        if tag == "input" and found.get("name"):
            self.fields[str(found["name"])] = found.get("value") or ""


class Browser:
    """Cookies live as long as it does. `url` is where the last page came from."""

    def __init__(self, base: str) -> None:
        self.base = URL(base)
        self.session = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))
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
        form = _Form()
        form.feed(page)
        fields = {**form.fields, "username": name, "password": password}
        action = self.url.join(URL(html.unescape(form.action) or str(self.url)))
        async with self.session.post(action, data=fields) as response:
            self.url = response.url
            return response.status, await response.text()

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
