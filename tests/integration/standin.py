"""A server as small as can be, in place of JupyterLab where the hub is what is tested.

Answers every request with its environment (as a JupyterHub single-user server would know itself), after
STANDIN_DELAY seconds if that is set, or never with STANDIN_DEAF; ends at SIGINT or SIGTERM.
"""

import json
import os
import signal
import socket
import sys
import time
from urllib.parse import urlsplit

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
time.sleep(float(os.environ.get("STANDIN_DELAY") or 0))
if os.environ.get("STANDIN_FAIL"):
    print("the stand-in was told to fail", flush=True)
    sys.exit(int(os.environ["STANDIN_FAIL"]))
while os.environ.get("STANDIN_DEAF"):
    signal.pause()
url = urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"])
listener = socket.create_server((url.hostname or "127.0.0.1", url.port or 0), backlog=64)
print(f"listening on {url.port}", flush=True)
shown = {key: value for key, value in os.environ.items() if "JUPYTERHUB" in key or "STANDIN" in key}
body = json.dumps(
    {"pid": os.getpid(), "host": socket.gethostname(), "cwd": os.getcwd(), "args": sys.argv[1:], "env": shown}
).encode()
answer = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nX-Standin: 1\r\n"
    b"Content-Length: %d\r\n\r\n" % len(body)
) + body
while True:
    connection, _ = listener.accept()
    with connection:
        try:
            connection.settimeout(5)
            if connection.recv(65536):
                connection.sendall(answer)
        except OSError:
            continue
