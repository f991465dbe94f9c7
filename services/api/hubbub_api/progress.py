"""GET /users/{user}/server/progress: what happens during a start, as it happens (contract, part 2.9)."""

import asyncio
import time
from contextlib import suppress
from typing import Any

import asyncpg
import msgspec
import nats
from aiohttp import web

from hubbub.away import AWAY
from hubbub.domain.server_states import Held
from hubbub.rpc import READY_EVENT
from hubbub.web.request import GATE, HEADERS, ApiError, identify, require
from hubbub_api import ready_event
from hubbub_api.endpoint import Endpoints
from hubbub_api.keys import BUS, FOLLOWER, LATE, PLACES, VIEWS
from hubbub_api.places import Place
from hubbub_api.rows import ServerRow
from hubbub_api.user_servers import DEFAULT, NAMED, find, target

routes = Endpoints("servers")

KEEP_ALIVE = 8.0

#: Seconds of waiting for a worker that nobody is told of.
PATIENCE = 1.0


class Event(msgspec.Struct):
    """One of a stream. `data` is JSON: `progress` (percent) and `message`; in the last one `ready` or `failed`, too.

    Where there is an `html_message`, it says the same as the hub or the spawner wants it shown.

    While the start waits for a worker, `place` in the queue, which has `of`, and perhaps `seconds` until it is taken.
    """

    data: str


@routes.get(f"{DEFAULT}/progress", scopes=("read:servers",), content="text/event-stream", answers={200: Event})
@routes.get(f"{NAMED}/progress", scopes=("read:servers",), content="text/event-stream", answers={200: Event})
async def progress(request: web.Request) -> web.StreamResponse:
    """Streams what happens during a start, as it happens. It ends with an event that says `ready` or `failed`.

    Each event is a line `data: {"progress": 50, "message": "..."}`.
    """
    owner, name = target(request)
    require(await identify(request), "read:servers", user=owner, server=name)
    server = await find(request, owner, name)
    if server.pending is None and not server.ready and server.failure is None:
        raise ApiError(400, f"{owner}:{name} is not starting..." if name else f"{owner} is not starting...")
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
    response.headers.update(request[HEADERS])
    await response.prepare(request)
    try:
        await _tell(request, response, server)
        await response.write_eof()
    except (ConnectionError, asyncio.CancelledError):
        pass  # the listener has gone
    return response


async def _tell(request: web.Request, response: web.StreamResponse, server: ServerRow) -> None:
    if last := _last_frame(request, server):
        await _send(response, await _hooked(request, server, last))
        return
    await response.write(b"\n\n")
    await _send(response, {"progress": 0, "message": "Server requested"})
    frames: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
    listening = asyncio.create_task(_listen(request, server, frames))
    settling = asyncio.create_task(_settled(request, server, frames))
    queueing = asyncio.create_task(_queued(request, server, frames))
    quiet_since = time.monotonic()
    try:
        while True:
            try:
                frame = await asyncio.wait_for(frames.get(), max(0.01, quiet_since + KEEP_ALIVE - time.monotonic()))
            except TimeoutError:
                await response.write(b"\n\n")
            else:
                if frame is None:
                    if last := settling.result():
                        await _send(response, await _hooked(request, server, last))
                    return
                await _send(response, frame)
            quiet_since = time.monotonic()
    finally:
        tasks = (listening, settling, queueing)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _listen(request: web.Request, server: ServerRow, frames: asyncio.Queue[dict[str, Any] | None]) -> None:
    """The spawner's own frames, from the first on. Without the bus there are none, and that is all."""
    subject = f"hub.progress.{server.id}.{server.attempt}"
    with suppress(nats.errors.Error, TimeoutError, OSError):
        subscription = await request.app[BUS].js.subscribe(subject, ordered_consumer=True, idle_heartbeat=1)
        try:
            async for message in subscription.messages:
                with suppress(msgspec.MsgspecError):
                    frame = msgspec.json.decode(message.data, type=dict[str, Any])
                    frame.pop("ready", None)
                    if READY_EVENT not in frame:
                        await frames.put(frame)
        finally:
            with suppress(nats.errors.Error, TimeoutError):
                await subscription.unsubscribe()


async def _settled(
    request: web.Request, server: ServerRow, frames: asyncio.Queue[dict[str, Any] | None]
) -> dict[str, Any]:
    """Wait for the end of the start; the frame that tells it. Empty if this api ends first: another can be asked."""
    with request.app[FOLLOWER].watch(server.id) as changed:
        while True:
            now = await request.app[VIEWS].server_by_id(server.id)
            last = now and _last_frame(request, now)
            if request.app[LATE].is_set() and not last and now is not None and now.pending is not None:
                await frames.put(None)
                return {}
            if now is None or last or now.pending is None:
                await frames.put(None)
                return last or {"progress": 100, "failed": True, "message": "Spawn cancelled"}
            with suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), 1.0)
            changed.clear()


async def _queued(request: web.Request, server: ServerRow, frames: asyncio.Queue[dict[str, Any] | None]) -> None:
    """While it waits for a worker: which place it has in the queue, whenever that changes."""
    if not isinstance(server.state, Held):
        return
    pool, places, said = server.state.pool, request.app[PLACES], None
    with request.app[FOLLOWER].watch(server.id, ("SpawnRequested",)) as again:
        await asyncio.sleep(PATIENCE)
        while True:
            moved = places.moved(pool)
            place = None
            with suppress(asyncpg.PostgresError, *AWAY):
                place = await places.of(server.id, pool)
            if place and place != said:
                said = place
                await frames.put(place_frame(place))
            # One that is taken may come back: its worker may be lost.
            with suppress(TimeoutError):
                await asyncio.wait_for((moved if place else again).wait(), None if place is None else KEEP_ALIVE)
            again.clear()


def place_frame(place: Place) -> dict[str, Any]:
    about = f", about {place.seconds} s" if place.seconds is not None else ""
    frame = {
        "progress": 0,
        "message": f"Waiting for a free worker: place {place.place} of {place.of}{about}",
        "place": place.place,
        "of": place.of,
    }
    return frame if place.seconds is None else {**frame, "seconds": place.seconds}


async def _hooked(request: web.Request, server: ServerRow, frame: dict[str, Any]) -> dict[str, Any]:
    """The last *frame*, as the operator's hook wants it if the server is ready."""
    if not frame.get("ready") or not ready_event.is_hooked(request.app[GATE].options):
        return frame
    return await ready_event.of(request.app[BUS], server) or frame


def _last_frame(request: web.Request, server: ServerRow) -> dict[str, Any] | None:
    if server.ready:
        url = request.app[GATE].options.hosts.link(server.owner, server.prefix or "")
        return {
            "progress": 100,
            "ready": True,
            "message": f"Server ready at {url}",
            "html_message": f'Server ready at <a href="{url}">{url}</a>',
            "url": url,
        }
    if server.failure is not None:
        text = server.failure.message
        message = text if server.failure.reason == "cancelled" else f"Spawn failed: {text}"
        frame = {"progress": 100, "failed": True, "message": message}
        return {**frame, "html_message": server.failure.html} if server.failure.html else frame
    return None


async def _send(response: web.StreamResponse, frame: dict[str, Any]) -> None:
    await response.write(b"data: " + msgspec.json.encode(frame) + b"\n\n")
