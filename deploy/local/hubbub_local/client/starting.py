"""`hubbub start` and `hubbub stop`: asked for, watched, and told how it ended.

The exit status says it, too: 0 it is as wished, 1 refused, 3 it has failed, 4 not over within the time given.
"""

import asyncio
import json
import time
from argparse import Namespace
from contextlib import suppress
from typing import Any

from hubbub_local.client.session import Hub, Refused, parsed, server_path
from hubbub_local.client.shown import fails
from hubbub_local.client.table import Paper, plain
from hubbub_local.client.times import short
from hubbub_local.errors import StackError

FAILED, NOT_OVER = 3, 4
#: Seconds between looks whether a start that was asked for is under way, so that its progress can be told.
SOON = 0.1
#: Seconds between two requests to stop, each of which waits a while itself.
AGAIN = 0.5
#: Seconds without a byte of a progress stream, which has a heartbeat of 8 s, until it counts as broken.
QUIET = 30.0
BAR = 24


#: The status of a start that was begun, and had failed before it was answered.
FAILED_AT_ONCE = 500


async def start(hub: Hub, asked: Namespace, paper: Paper) -> int:
    user, name = parsed(asked.server)
    place = server_path(user, name)
    body = None if asked.options is None else {"user_options": asked.options}
    wish = asyncio.ensure_future(hub.answer("POST", place, body))
    try:
        async with asyncio.timeout(asked.timeout):
            return await _watched(hub, place, wish, asked, paper)
    except TimeoutError:
        return _over(paper, asked, {"message": f"It is still starting after {short(asked.timeout)}"}, NOT_OVER)
    finally:
        wish.cancel()
        with suppress(asyncio.CancelledError, StackError):
            await wish


async def _watched(
    hub: Hub, place: str, wish: "asyncio.Future[tuple[int, Any]]", asked: Namespace, paper: Paper
) -> int:
    if asked.no_wait:
        status, _ = await _asked(hub, place, wish)
        return _over(paper, asked, {"message": "It is ready" if status == 201 else "It is starting"}, 0)
    last = await _progress(hub, place, wish, asked, paper)
    if last is None:  # it was over before anybody could look
        last = await _outcome(hub, place, wish, asked, paper)
    paper.progress("")
    if not last.get("ready"):
        return _over(paper, asked, last, FAILED)
    url = str(last.get("url", ""))
    last["url"] = url if "://" in url else hub.public.rstrip("/") + _below(hub, url)
    return _over(paper, asked, last, 0)


async def _outcome(
    hub: Hub, place: str, wish: "asyncio.Future[tuple[int, Any]]", asked: Namespace, paper: Paper
) -> dict[str, Any]:
    """The last frame, of what has become of the *wish*."""
    last = None
    try:
        status, _ = await _asked(hub, place, wish)
    except Refused as refusal:
        if refusal.status != FAILED_AT_ONCE:
            raise
        return {"failed": True, "message": str(refusal)}
    if status != 201:
        last = await _progress(hub, place, None, asked, paper)
    return last or {"ready": True, "url": (await hub.get(place))["url"]}


def _below(hub: Hub, place: str) -> str:
    """*place* begins with the path that the hub's address has already."""
    base = "/" + hub.public.split("://", 1)[-1].partition("/")[2]
    return "/" + place.removeprefix(base)


async def _asked(hub: Hub, place: str, wish: "asyncio.Future[tuple[int, Any]]") -> tuple[int, Any]:
    """The answer; one that runs already is as good as started."""
    try:
        return await asyncio.shield(wish)
    except Refused as refusal:
        if refusal.status == 400 and "is already running" in str(refusal):
            return 201, None
        raise


async def _progress(
    hub: Hub, place: str, wish: "asyncio.Future[tuple[int, Any]] | None", asked: Namespace, paper: Paper
) -> dict[str, Any] | None:
    """The last frame; null if the start was over, one way or the other, before it could be watched."""
    while wish is None or not wish.done():
        with suppress(Refused):
            async with hub.stream(f"{place}/progress", quiet=QUIET) as frames:
                return await _told(frames, asked, paper)
        if wish is None:
            return None
        await asyncio.wait({wish}, timeout=SOON)
    return None


async def _told(frames: Any, asked: Namespace, paper: Paper) -> dict[str, Any] | None:
    said = ""
    last: dict[str, Any] | None = None
    async for _, data in frames:
        last = json.loads(data)
        assert last is not None
        if last.get("ready") or last.get("failed"):
            return last
        if asked.json:
            paper.json(last, whole=False)
        elif paper.is_terminal:
            paper.progress(bar(last))
        elif last.get("message") != said:
            paper.line(plain(last.get("message")))
        said = last.get("message", "")
    return last


def bar(frame: dict[str, Any]) -> str:
    """`[########----------------]  33 %  Pulling the image`; no bar for what waits in line."""
    message = plain(frame.get("message"))
    if "place" in frame:
        return message
    share = min(100.0, max(0.0, float(frame.get("progress") or 0)))
    full = round(BAR * share / 100)
    return f"[{'#' * full}{'-' * (BAR - full)}] {share:3.0f} %  {message}"


def _over(paper: Paper, asked: Namespace, last: dict[str, Any], status: int) -> int:
    if asked.json:
        paper.json({**last, "status": status}, whole=False)
        return status
    if status == 0 and last.get("url"):
        paper.line(f"Ready: {last['url']}")
        return status
    message = plain(last.get("message"))
    if status == 0:
        paper.line(f"{message}.")
        return status
    return fails(message, status)


# Stop -----------------------------------------------------------------------------------


async def stop(hub: Hub, asked: Namespace, paper: Paper) -> int:
    """Each request to stop one that is stopping waits until it has, for a while."""
    user, name = parsed(asked.server)
    place = server_path(user, name)
    ends = time.monotonic() + asked.timeout
    if asked.force:
        return await _force(hub, place, asked, paper)
    while True:
        status, _ = await hub.answer("DELETE", place)
        if status == 204:
            return _over(paper, asked, {"message": "It has stopped", "stopped": True}, 0)
        if asked.no_wait:
            return _over(paper, asked, {"message": "It is stopping", "stopped": False}, 0)
        if time.monotonic() >= ends:
            paper.progress("")
            return _over(paper, asked, {"message": f"It is still stopping after {short(asked.timeout)}"}, NOT_OVER)
        if not asked.json:
            paper.progress("It is stopping")
        await asyncio.sleep(AGAIN)


async def _force(hub: Hub, place: str, asked: Namespace, paper: Paper) -> int:
    await hub.ask("DELETE", place)
    with suppress(Refused):  # it has stopped by itself
        await hub.ask("POST", f"{place}/force-stop")
    return _over(paper, asked, {"message": "It counts as stopped; what is left of it is an orphan", "stopped": True}, 0)
