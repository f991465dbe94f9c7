"""The names on the bus: how a text becomes part of one, and who may use which."""

from collections.abc import Sequence
from string import ascii_letters, digits

_PLAIN = frozenset(f"{ascii_letters}{digits}-_".encode())


#: Workers with an identity of their own hear answers below it.
WORKERS_INBOX = "_INBOX_worker"


def token(text: str) -> str:
    """*text* as one token of a subject."""
    return "".join(chr(b) if b in _PLAIN else f"%{b:02x}" for b in text.encode()) or "%"


def permissions(pools: Sequence[str]) -> dict[str, dict[str, list[str]]]:
    """Who may publish and subscribe to what: a NATS user for each service and each pool."""
    users: dict[str, dict[str, list[str]]] = {
        "api": {
            "publish": [
                "hub.event.>",
                "hub.ticket.>",
                "hub.holder.*",
                "hub.form.*",
                "hub.forget.*",
                "hub.heartbeat.log",
                "hub.missed",
                "hub.compare",
                "$JS.API.>",
                "$JS.FC.>",
                "_INBOX_proxy-sync.>",
                "_INBOX_poller.>",
                *[f"_INBOX_pool-{pool}.>" for pool in pools],
                f"{WORKERS_INBOX}.>",
            ],
            "subscribe": [
                "hub.rpc.>",
                "hub.progress.>",
                "hub.logs.>",
                "hub.heartbeat.>",
                "hub.liveness.>",
                "hub.compared.*",
                "_INBOX_api.>",
            ],
        },
        "proxy-sync": {
            "publish": ["hub.rpc.*.proxy.*", "hub.activity", "hub.compared.*", "hub.heartbeat.proxy-sync.*"],
            "subscribe": ["hub.event.>", "hub.heartbeat.log", "hub.missed", "hub.compare", "_INBOX_proxy-sync.>"],
        },
        "poller": {
            "publish": ["hub.rpc.*.poller.*", "hub.liveness.>", "hub.heartbeat.poller.*"],
            "subscribe": ["hub.heartbeat.>", "hub.activity", "_INBOX_poller.>"],
        },
    }
    for pool in pools:
        users[f"pool-{pool}"] = _of_worker(pool, "*", f"_INBOX_pool-{pool}")
    return users


def of_worker(pool: str, name: str) -> dict[str, list[str]]:
    """What a worker with an identity of its own may use: it speaks for its pool, by its own name and no other."""
    return _of_worker(pool, token(name), f"{WORKERS_INBOX}.{token(name)}")


def _of_worker(pool: str, name: str, inbox: str) -> dict[str, list[str]]:
    return {
        "publish": [
            f"hub.rpc.*.{pool}.{name}",
            "hub.progress.>",
            "hub.logs.>",
            f"hub.heartbeat.spawner-worker.{name}",
            f"$JS.API.CONSUMER.MSG.NEXT.TICKETS.pool-{pool}",
            f"$JS.API.CONSUMER.INFO.TICKETS.pool-{pool}",
            f"$JS.ACK.TICKETS.pool-{pool}.>",
            "_INBOX_api.>",
        ],
        "subscribe": [f"hub.holder.{name}", f"hub.form.{pool}", f"hub.forget.{pool}", f"{inbox}.>"],
    }
