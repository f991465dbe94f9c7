"""The way of a browser through a login elsewhere, for tests."""

from typing import Any
from urllib.parse import urlsplit

import aiohttp

from hubbub_auth.testing import Answer, Browser

LOGIN, CALLBACK = "/hub/oidc_login", "/hub/oidc_callback"


def config(kind: str, section: dict[str, Any], **more: Any) -> dict[str, dict[str, Any]]:
    """Of a hub that lets everybody in whom the provider knows, unless *section* says who."""
    name = {"hubbub-oidc": "OIDCAuthenticator", "hubbub-github": "GitHubAuthenticator"}[kind]
    says = any(option.startswith("allow") for option in section)
    rules = {} if says else {"allow_all": True}
    return {"JupyterHub": {"authenticator_class": kind, **more}, name: {**rules, **section}}


def of_double(double: Any, **section: Any) -> dict[str, dict[str, Any]]:
    from openid_double import CLIENT, SECRET

    usual = {"issuer": double.issuer, "client_id": CLIENT, "client_secret": SECRET}
    return config("hubbub-oidc", usual | section)


def local(url: str) -> str:
    """Path and query of *url*."""
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


async def begin(browser: Browser, path: str = LOGIN) -> str:
    """The address at the provider that the hub sends *browser* to."""
    answer = await browser.get(path)
    assert answer.status == 302, answer.text
    return answer.location


async def at_provider(url: str, fields: dict[str, str] | None = None) -> str:
    """Where the provider sends the browser back to; *fields*: of its form, if it has one."""
    async with (
        aiohttp.ClientSession() as session,
        session.request("POST" if fields else "GET", url, data=fields, allow_redirects=False) as answer,
    ):
        assert answer.status in (302, 303), await answer.text()
        return local(answer.headers["Location"])


async def log_in(browser: Browser, path: str = LOGIN, fields: dict[str, str] | None = None) -> Answer:
    return await browser.get(await at_provider(await begin(browser, path), fields))


def in_progress(browser: Browser) -> list[str]:
    return [name for name in browser.cookies if name.startswith("hubbub-login-")]
