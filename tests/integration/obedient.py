"""A server that does what the last word of the address says: eat/<MB>, burn, breed, say/<text>."""

import json
import os
import signal
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import unquote, urlsplit

HELD = []


def eat(megabytes):
    HELD.append(b"x" * (int(megabytes) * 1024 * 1024))
    return len(HELD)


def burn(_):
    """The part of a core that was had during a second."""
    began, used = time.monotonic(), time.process_time()
    while time.monotonic() - began < 1:
        pass
    return (time.process_time() - used) / (time.monotonic() - began)


def breed(_):
    """A child that leaves the session."""
    return subprocess.Popen(["sleep", "1000"], start_new_session=True).pid


def say(text):
    print(text, flush=True)
    return text


class Visit(BaseHTTPRequestHandler):
    def do_GET(self):
        told = unquote(self.path.removeprefix(urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"]).path))
        verb, _, object = told.partition("/")
        done = {"eat": eat, "burn": burn, "breed": breed, "say": say}.get(verb, str)(object)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(done).encode())

    def log_message(self, *_):
        pass


signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
eat(os.environ["EAT"])
place = urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"])
server = HTTPServer((place.hostname, place.port), Visit)
say("at your service")
server.serve_forever()
