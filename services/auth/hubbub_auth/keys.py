"""What handlers find in the application."""

import asyncpg
from aiohttp import web

from hubbub.counting import Counts
from hubbub.handle import Committer
from hubbub.house import HouseNow
from hubbub.vault import Vault
from hubbub_auth.admission import Admission
from hubbub_auth.hosted import Hosted
from hubbub_auth.throttle import Throttle

POOL: web.AppKey["asyncpg.Pool[asyncpg.Record]"] = web.AppKey("pool", asyncpg.Pool)
COMMITTER = web.AppKey("committer", Committer)
HOUSE = web.AppKey("house", HouseNow)
VAULT = web.AppKey("vault", Vault)
#: What is counted here, for the figures of the house.
COUNTS = web.AppKey("counts", Counts)
HOSTED = web.AppKey("hosted", Hosted)
ADMISSION = web.AppKey("admission", Admission)
THROTTLE = web.AppKey("throttle", Throttle)
#: Of a classic authenticator: what apis forward besides paths (see `hubbub.auth_messages.About`).
PATTERNS: web.AppKey[tuple[str, ...]] = web.AppKey("patterns", tuple)
#: How a try to log in went, of a request that is one: `success` or `failure`.
WENT = web.RequestKey("went", str)
