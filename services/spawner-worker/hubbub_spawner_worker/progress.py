"""What a spawner says while it starts a server, published as people will see it."""

import json

import structlog

from hubbub import subjects
from hubbub.rpc import Spec
from hubbub_spawner_worker.hosted import Hosted
from hubbub_spawner_worker.workshop import Publish

log = structlog.get_logger()


async def publish_progress(hosted: Hosted, spec: Spec, publish: Publish) -> None:
    """Frame by frame, until the spawner has no more or the start is over. Nothing waits for it."""
    subject = f"hub.progress.{subjects.token(spec.server)}.{spec.attempt}"
    try:
        async for frame in hosted.frames():
            if not isinstance(frame, dict):
                raise TypeError(f"progress() yielded {frame!r}, which is no dictionary")
            await publish(subject, json.dumps(frame, default=str).encode())
    except Exception as error:
        log.warning("server.progress_failed", server=spec.server, attempt=spec.attempt, error=str(error))
