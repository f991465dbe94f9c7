"""The last event of a start as the operator's `progress_ready_hook` has made it: its worker has published it."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec
import nats

from hubbub.bus import PROGRESS, Bus
from hubbub.config import Options
from hubbub.rpc import READY_EVENT
from hubbub_api.rows import ServerRow


def is_hooked(options: Options) -> bool:
    """Whether any class's options have such a hook."""
    sections = (section for section in options.traits.values() if isinstance(section, Mapping))
    return any("progress_ready_hook" in section for section in sections)


async def of(bus: Bus, server: ServerRow) -> dict[str, Any] | None:
    """What the hook has made of it; None if it is not known, or not any more: it is kept for an hour."""
    subject = f"hub.progress.{server.id}.{server.attempt}"
    with suppress(nats.errors.Error, nats.js.errors.Error, TimeoutError, OSError, msgspec.MsgspecError):
        message = await bus.js.get_last_msg(str(PROGRESS.name), subject)
        event = msgspec.json.decode(message.data or b"", type=dict[str, Any]).get(READY_EVENT)
        if isinstance(event, dict):
            return {"progress": 100, "ready": True, **event}
    return None
