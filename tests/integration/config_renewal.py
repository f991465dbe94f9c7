"""The configuration of the other integration tests, with an authenticator that can change its mind about people."""

import os
from pathlib import Path

from aiohttp import web

from hubbub_auth.authenticators import Authenticator

c = get_config()  # noqa: F821
load_subconfig("config_standin.py")  # noqa: F821

ledger = Path(os.environ["HUBBUB_DATA"])


def names(kind):
    """Of the people in one of the lists that the test keeps beside the hub's folder."""
    file = ledger.with_name(kind)
    return file.read_text().split() if file.exists() else []


async def greet(request):
    return web.Response(text="the ledger's own page")


class LedgerAuthenticator(Authenticator):
    """`gone`: has no account any more. `stale`: has to log in again."""

    async def authenticate(self, handler, data):
        name = data["username"]
        return {"name": name, "user_info": {"display_name": name.title()}, "groups": ["of-login"]}

    async def refresh_user(self, user, handler=None):
        return {"groups": ["of-refresh"]} if user.name not in names("stale") else False

    async def add_user(self, user):
        if user.name in names("gone"):
            raise ValueError(f"{user.name} has no account")

    def routes(self, prefix):
        return [web.get(f"{prefix}ledger", greet)]


c.JupyterHub.authenticator_class = LedgerAuthenticator
c.JupyterHub.redirect_to_server = False
c.JupyterHub.shutdown_on_logout = True
c.Authenticator.delete_invalid_users = True
c.Authenticator.manage_groups = True
c.Authenticator.refresh_pre_spawn = True
