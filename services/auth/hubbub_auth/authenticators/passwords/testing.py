"""For tests: a hub with a password table of little cost, and accounts in it."""

from typing import Any

from aiohttp.test_utils import TestServer

from hubbub_auth.authenticators.passwords import PasswordAuthenticator, rules
from hubbub_auth.keys import HOSTED
from hubbub_auth.testing import Answer, Browser

GOOD, OTHER = "rain tent violin", "mango ledger ice"
CHEAP = {"time_cost": 1, "memory_cost": 7168, "hash_processes": 1}


def config(**options: Any) -> dict[str, dict[str, Any]]:
    return {
        "JupyterHub": {"authenticator_class": "hubbub-passwords"},
        "PasswordAuthenticator": {"enable_signup": True, **CHEAP, **options},
        "Authenticator": {"admin_users": {"root"}},
    }


def of(auth: TestServer) -> PasswordAuthenticator:
    found: PasswordAuthenticator = auth.app[HOSTED].authenticator
    return found


async def account(auth: TestServer, name: str, password: str = GOOD) -> str:
    """An approved account, as an administrator and its owner make one; its id."""
    ours = of(auth)
    id, _, link = (await ours.accounts.invite(name, "operator", hours=1)).partition(".")
    await ours.accounts.use_link(id, link, await ours.hashing.hash(rules.encoded(password)), address="")
    return id


async def sign_up(browser: Browser, name: str, password: str = GOOD, again: str | None = None) -> Answer:
    form = await browser.get("/hub/signup")
    fields = {"name": name, "new": password, "again": password if again is None else again, "_xsrf": form.xsrf}
    return await browser.post("/hub/signup", fields)
