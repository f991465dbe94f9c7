"""Pools and their workers: what each holds, who is silent, and emptying one."""

from datetime import UTC, datetime

from aiohttp import web

from hubbub.access import Identity
from hubbub.domain.house import LONGEST
from hubbub.domain.names import escape
from hubbub.web.request import ApiError
from hubbub_api import workers
from hubbub_api.pages.admin.room import operator, page
from hubbub_api.workers import Worker

FOLLOW = "aggregate=server,house"
#: How long what a worker holds may still run: seconds, and what one says of it.
DEADLINES = (
    ("", "for as long as it likes"),
    ("300", "5 minutes"),
    ("900", "15 minutes"),
    ("1800", "half an hour"),
    ("3600", "an hour"),
    ("14400", "4 hours"),
    ("86400", "a day"),
)


def path_of(worker: Worker) -> str:
    """Below the API, and below `/hub/admin`."""
    return f"workers/{escape(worker.name)}"


@operator
async def listing(request: web.Request, identity: Identity) -> web.StreamResponse:
    return page(
        request,
        identity,
        "workers.html",
        "/workers",
        follow=FOLLOW,
        pools=await workers.pools(request.app),
        workers=await workers.workers(request.app),
        path_of=path_of,
        load=load,
    )


@operator
async def show(request: web.Request, identity: Identity) -> web.StreamResponse:
    worker = await workers.worker(request.app, request.match_info["worker"])
    if worker is None:
        raise ApiError(404, f"Nothing is known of a worker {request.match_info['worker']}")
    left = None
    if worker.draining and worker.draining.deadline:
        left = (datetime.fromisoformat(worker.draining.deadline) - datetime.now(UTC)).total_seconds()
    return page(
        request,
        identity,
        "worker.html",
        "/workers",
        follow=FOLLOW,
        worker=worker,
        path=path_of(worker),
        left=left,
        deadlines=DEADLINES,
        longest=LONGEST,
        load=load,
        may_stop=lambda held: bool(held.user) and identity.may("delete:servers", user=held.user, server=held.name),
        server_path=server_path,
    )


def load(worker: Worker) -> str:
    """How full it is: `3 of 20`."""
    return f"{worker.holds.all} of {worker.capacity}" if worker.capacity else str(worker.holds.all)


def server_path(held: workers.HeldServer) -> str:
    """Below the API."""
    owner = escape(held.user or "")
    return f"users/{owner}/servers/{escape(held.name)}" if held.name else f"users/{owner}/server"
