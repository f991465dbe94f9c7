"""Hears every message on the bus, by all the credentials together: none of them alone may hear everything."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg

from hubbub.bus import Bus
from stack import Hub


@asynccontextmanager
async def as_user(hub: Hub, user: str) -> AsyncIterator[Client]:
    """A connection with the credentials of a service."""
    [found] = [each for each in users(hub) if each["user"] == user]
    client = await nats.connect(
        f"nats://{hub.running()['nats_url'].rpartition('@')[2]}",
        user=user,
        password=found["password"],
        inbox_prefix=f"_INBOX_{user}".encode(),
    )
    try:
        yield client
    finally:
        await client.close()


def users(hub: Hub) -> list[dict[str, Any]]:
    """Those of services and pools, with their passwords and what they may."""
    text = (hub.store / "nats-users.conf").read_text().removeprefix("authorization: ")
    return [each for each in json.loads(text)["users"] if "user" in each]


class Tape:
    """What was said: subject, headers and payload of each message."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []

    async def hear(self, message: Msg) -> None:
        headers = json.dumps(dict(message.headers or {}))
        self.messages.append(f"{message.subject}\n{headers}\n".encode() + message.data)

    def about(self, subject: str) -> int:
        """How many messages on subjects that begin like this."""
        return sum(message.startswith(subject.encode()) for message in self.messages)


@asynccontextmanager
async def tapped(hub: Hub) -> AsyncIterator[Tape]:
    tape = Tape()
    async with AsyncExitStack() as stack:
        for user in users(hub):
            client = await stack.enter_async_context(as_user(hub, user["user"]))
            for subject in user["permissions"]["subscribe"].get("allow", ()):
                await client.subscribe(subject, cb=tape.hear)
            await Bus(client).arrived()
        yield tape
