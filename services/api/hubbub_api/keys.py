"""What handlers find in the application."""

import asyncio

import asyncpg
from aiohttp import web

from hubbub.bus import Bus
from hubbub.follow import Follower
from hubbub.handle import Committer
from hubbub.house import HouseNow
from hubbub.vault import Vault
from hubbub_api.activity import Activities
from hubbub_api.colleagues import Colleagues
from hubbub_api.comparing import Comparisons
from hubbub_api.events import Events
from hubbub_api.farewells import Farewells
from hubbub_api.feed import Feed
from hubbub_api.forms import Forms
from hubbub_api.misses import Misses
from hubbub_api.models import Models
from hubbub_api.moved import MovedProxies
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
HOUSE = web.AppKey("house", HouseNow)
COLLEAGUES = web.AppKey("colleagues", Colleagues)
#: Those of proxies.
PROXY_SYNCS = web.AppKey("proxy-syncs", Colleagues)
POLLERS = web.AppKey("pollers", Colleagues)
ACTIVITIES = web.AppKey("activities", Activities)
MODELS = web.AppKey("models", Models)
COMPARISONS = web.AppKey("comparisons", Comparisons)
MISSES = web.AppKey("misses", Misses)
MOVED = web.AppKey("moved", MovedProxies)
EVENTS = web.AppKey("events", Events)
FEED = web.AppKey("feed", Feed)
#: Set by `POST /shutdown`: then this process ends with `hubbub.settings.SHUT_DOWN`.
STOPPING = web.AppKey("stopping", asyncio.Event)
ENDING: "web.AppKey[list[asyncio.Task[None]]]" = web.AppKey("ending", list)
#: Set when this process is about to end: whoever sends people here had better send them to another one.
LEAVING = web.AppKey("leaving", asyncio.Event)
#: Set when what is still being waited for has to be left to others.
LATE = web.AppKey("late", asyncio.Event)
VIEWS = web.AppKey("views", Views)

__all__ = [
    "ACTIVITIES",
    "BUS",
    "COLLEAGUES",
    "COMMITTER",
    "COMPARISONS",
    "ENDING",
    "EVENTS",
    "FAREWELLS",
    "FEED",
    "FOLLOWER",
    "FORMS",
    "HOUSE",
    "LATE",
    "LEAVING",
    "MISSES",
    "MODELS",
    "MOVED",
    "PLACES",
    "POLLERS",
    "POOL",
    "PROXY_SYNCS",
    "STOPPING",
    "VAULT",
    "VIEWS",
]
