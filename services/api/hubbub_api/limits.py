"""How many servers there may be, settled under the log's lock so that a race cannot pass it."""

import random
from dataclasses import dataclass

from hubbub.config import Options
from hubbub.domain.message import LimitReached
from hubbub.transaction import Transaction


class Throttled(LimitReached):
    """Too many servers are starting; try again soon."""

    def __init__(self, seconds: int) -> None:
        about = max(10, round(seconds, -1))
        super().__init__(f"Too many users trying to log in right now. Try again in {about} seconds.")
        self.seconds = seconds


@dataclass
class Census:
    """How many people's servers are on their way up, and how many are not stopped. Counted once a batch."""

    pending: int
    active: int


async def census(tx: Transaction) -> Census:
    if "census" not in tx.notes:
        [row] = await tx.fetch(
            "select count(*) filter (where kind in ('Spawning', 'Started')) as pending, count(*) as active "
            "from servers where kind <> 'Stopped' and user_id <> ''"
        )
        tx.notes["census"] = Census(row["pending"], row["active"])
    counted: Census = tx.notes["census"]
    return counted


def _limits(options: Options) -> tuple[int, int]:
    """How many may be starting, and how many there may be at all. 0: any number.

    With `c.Hubbub.queue_spawns` no start is refused for the first: it waits (see `hubbub_api.queue`).
    """
    return 0 if options.ours.queue_spawns else options.hub.concurrent_spawn_limit, options.hub.active_server_limit


async def prepare(tx: Transaction, options: Options) -> None:
    """Count those that are there. Call it before anything is decided, or the newcomer would be among them."""
    if any(_limits(options)):
        await census(tx)


async def admit(tx: Transaction, options: Options) -> None:
    """Count one more start, or refuse it. Call it when nothing else can refuse it any more."""
    starting, all = _limits(options)
    if not starting and not all:
        return
    now = await census(tx)
    if starting and now.pending >= starting:
        raise Throttled(int(random.uniform(30, 60)))  # noqa: S311 - spreads retries, guards nothing
    if all and now.active >= all:
        raise LimitReached("Active user limit exceeded. Try again in a few minutes.")
    now.pending += 1
    now.active += 1
