"""A browser at a hub with TLS, to which others may have planted cookies."""

from http.cookies import SimpleCookie
from typing import Any

from hubbub_auth.testing import PASSWORD, Answer, Browser

HOST = "hub.test:8443"
FROM_HUB = {"Origin": f"https://{HOST}", "Sec-Fetch-Site": "same-origin"}


class Visitor:
    """A browser at https://hub.test:8443 that also sends what neighbours have planted: `planted`, name and value."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self.given: dict[str, SimpleCookie[str] | Any] = {}
        self.planted: list[tuple[str, str]] = []
        self.planted_first = False

    @property
    def own(self) -> list[tuple[str, str]]:
        return [(name, morsel.coded_value) for name, morsel in self.given.items() if morsel.value]

    async def send(self, method: str, path: str, headers: dict[str, str] | None = None, **given: Any) -> Answer:
        pairs = [*self.planted, *self.own] if self.planted_first else [*self.own, *self.planted]
        cookie = {"Cookie": "; ".join(f"{name}={value}" for name, value in pairs)} if pairs else {}
        said = {"Host": HOST, "X-Forwarded-Proto": "https", **cookie, **(headers or {})}
        answer = await self._browser.send(method, path, headers=said, **given)
        for each in answer.headers.getall("Set-Cookie", ()):
            self.given.update(SimpleCookie(each).items())
        return answer

    async def get(self, path: str, **given: Any) -> Answer:
        return await self.send("GET", path, **given)

    async def log_in(self, name: str, path: str = "/hub/login", headers: dict[str, str] | None = None) -> Answer:
        form = await self.get(path)
        fields = {"username": name, "password": PASSWORD, "_xsrf": form.xsrf}
        return await self.send("POST", path, headers or FROM_HUB, data=fields)

    async def is_somebody(self) -> bool:
        return (await self.get("/hub/login")).status == 302
