"""What handlers find in the application."""

import asyncpg
from aiohttp import web

from hubbub.handle import Committer
from hubbub_auth.authenticators.authenticator import Authenticator
from hubbub_auth.throttle import Throttle

POOL: web.AppKey["asyncpg.Pool[asyncpg.Record]"] = web.AppKey("pool", asyncpg.Pool)
COMMITTER = web.AppKey("committer", Committer)
AUTHENTICATOR = web.AppKey("authenticator", Authenticator)
THROTTLE = web.AppKey("throttle", Throttle)
