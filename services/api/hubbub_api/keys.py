"""What handlers find in the application."""

import asyncio

import asyncpg
from aiohttp import web

from hubbub.bus import Bus
from hubbub.follow import Follower
from hubbub.handle import Committer
from hubbub.vault import Vault
from hubbub_api.activity import Activities
from hubbub_api.farewells import Farewells
from hubbub_api.forms import Forms
from hubbub_api.models import Models
from hubbub_api.places import Places
from hubbub_api.views import Views

POOL: "web.AppKey[asyncpg.Pool[asyncpg.Record]]" = web.AppKey("pool", asyncpg.Pool)
COMMITTER = web.AppKey("committer", Committer)
FOLLOWER = web.AppKey("follower", Follower)
VAULT = web.AppKey("vault", Vault)
BUS = web.AppKey("bus", Bus)
FORMS = web.AppKey("forms", Forms)
FAREWELLS = web.AppKey("farewells", Farewells)
PLACES = web.AppKey("places", Places)
ACTIVITIES = web.AppKey("activities", Activities)
MODELS = web.AppKey("models", Models)
#: Set by `POST /shutdown`: then this process ends with `hubbub.settings.SHUT_DOWN`.
STOPPING = web.AppKey("stopping", asyncio.Event)
ENDING: "web.AppKey[list[asyncio.Task[None]]]" = web.AppKey("ending", list)
VIEWS = web.AppKey("views", Views)

__all__ = [
    "ACTIVITIES",
    "BUS",
    "COMMITTER",
    "ENDING",
    "FAREWELLS",
    "FOLLOWER",
    "FORMS",
    "MODELS",
    "PLACES",
    "POOL",
    "STOPPING",
    "VAULT",
    "VIEWS",
]
