"""What a spawner, or the operator's hook, says of a start, published as people will see it."""

import json

import structlog

from hubbub import subjects
from hubbub.rpc import READY_EVENT, Spec
from hubbub_spawner_worker.hosted import Hosted
from hubbub_spawner_worker.workshop import Publish

log = structlog.get_logger()

_HOOK_PATIENCE = 10.0
"""Seconds that a server, which is there, is kept from people for a nicer word."""


async def publish_progress(hosted: Hosted, spec: Spec, publish: Publish) -> None:
    """Frame by frame, until the spawner has no more or the start is over. Nothing waits for it."""
    try:
        async for frame in hosted.frames():
            if not isinstance(frame, dict):
                raise TypeError(f"progress() yielded {frame!r}, which is no dictionary")
            await publish(_subject(spec), json.dumps(frame, default=str).encode())
    except Exception as error:
        log.warning("server.progress_failed", server=spec.server, attempt=spec.attempt, error=str(error))


async def publish_ready(hosted: Hosted, spec: Spec, publish: Publish) -> None:
    """What `progress_ready_hook`, if there is one, makes of the event that the server is ready. To be said last."""
    hook = getattr(hosted.spawner, "progress_ready_hook", None)
    if hook is None or spec.service:
        return
    url = f"{hosted.spawner.user.own_host}{spec.prefix}"
    event = {
        "progress": 100,
        "ready": True,
        "message": f"Server ready at {url}",
        "html_message": f'Server ready at <a href="{url}">{url}</a>',
        "url": url,
    }
    try:
        changed = await hosted.floor.call(hook, hosted.spawner, event, patience=_HOOK_PATIENCE)
        if not isinstance(changed, dict):
            raise TypeError(f"progress_ready_hook returned {changed!r}, which is no dictionary")
        await publish(_subject(spec), json.dumps({READY_EVENT: changed}, default=str).encode())
    except Exception as error:
        log.warning("server.ready_hook_failed", server=spec.server, attempt=spec.attempt, error=str(error))


def _subject(spec: Spec) -> str:
    return f"hub.progress.{subjects.token(spec.server)}.{spec.attempt}"
