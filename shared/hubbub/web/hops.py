"""Headers that are between two neighbours, and not for whom a request or answer is handed on to (RFC 9110, 7.6.1)."""

HOP_BY_HOP = frozenset(
    [
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailers",
        "transfer-encoding",
        "upgrade",
    ]
)
