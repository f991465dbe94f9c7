"""Small HTTP servers that stand in for somebody else's."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@contextmanager
def serving(kind: type[BaseHTTPRequestHandler], **attributes: Any) -> Iterator[str]:
    """The address of one whose handlers are of *kind*, and have *attributes*. By name: OAuth wants TLS of others."""
    server = ThreadingHTTPServer(("localhost", 0), type("Request", (kind,), attributes))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://localhost:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
