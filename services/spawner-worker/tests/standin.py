"""The smallest single-user server: answers every path below its prefix with the environment it was started with."""

import json
import os
import signal
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import urlsplit

url = urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"])


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path.startswith(url.path) else 404)
        self.send_header("X-JupyterHub-Version", "6.1.1")
        self.end_headers()
        self.wfile.write(json.dumps(dict(os.environ)).encode())

    def log_message(self, *_):
        pass


if "deaf" in sys.argv:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
if "breeds" in sys.argv:
    print("grandchild", subprocess.Popen(["/bin/sh", "-c", "sleep 1000 & wait"]).pid, flush=True)
if "dies" in sys.argv:
    sys.exit(3)
server = HTTPServer((url.hostname, url.port), Handler)
print("listening", flush=True)
server.serve_forever()
