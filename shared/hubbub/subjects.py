"""The names on the bus: how a text becomes part of one, and who may use which."""

from collections.abc import Sequence
from string import ascii_letters, digits

_PLAIN = frozenset(f"{ascii_letters}{digits}-_".encode())


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
                "$JS.API.>",
                "$JS.FC.>",
                "_INBOX_proxy-sync.>",
                "_INBOX_poller.>",
                *[f"_INBOX_pool-{pool}.>" for pool in pools],
            ],
            "subscribe": [
                "hub.rpc.>",
                "hub.progress.>",
                "hub.logs.>",
                "hub.heartbeat.>",
                "hub.liveness.>",
                "_INBOX_api.>",
            ],
        },
        "proxy-sync": {
            "publish": ["hub.rpc.*.proxy.*", "hub.activity", "hub.heartbeat.proxy-sync.*"],
            "subscribe": ["hub.event.server.*", "hub.event.>", "hub.heartbeat.log", "_INBOX_proxy-sync.>"],
        },
        "poller": {
            "publish": ["hub.rpc.*.poller.*", "hub.liveness.>", "hub.heartbeat.poller.*"],
            "subscribe": ["hub.heartbeat.>", "hub.activity", "_INBOX_poller.>"],
        },
    }
    for pool in pools:
        users[f"pool-{pool}"] = {
            "publish": [
                f"hub.rpc.*.{pool}.*",
                "hub.progress.>",
                "hub.logs.>",
                "hub.heartbeat.spawner-worker.*",
                f"$JS.API.CONSUMER.MSG.NEXT.TICKETS.pool-{pool}",
                f"$JS.API.CONSUMER.INFO.TICKETS.pool-{pool}",
                f"$JS.ACK.TICKETS.pool-{pool}.>",
                "_INBOX_api.>",
            ],
            "subscribe": ["hub.holder.*", f"hub.form.{pool}", f"hub.forget.{pool}", f"_INBOX_pool-{pool}.>"],
        }
    return users
