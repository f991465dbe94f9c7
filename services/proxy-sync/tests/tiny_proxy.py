"""What stands for the process of somebody's proxy: it listens. `ends`: it ends at once. `leaves`: as daemons do it, so
that nobody has started it.
"""

import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


if __name__ == "__main__":
    if "ends" in sys.argv:
        sys.exit(1)
    if "leaves" not in sys.argv or os.fork() == 0:
        ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
