"""Makes the hub's Secret, before it is installed and at every upgrade: what is missing is added, what is there is kept.

Run in the image `setup` with an account that may do nothing but read, make and change this one Secret. `hubbub kit`
makes the files; here they come from the Secret, and go back into it.
"""

import base64
import json
import os
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

ACCOUNT = Path(os.environ.get("ACCOUNT", "/var/run/secrets/kubernetes.io/serviceaccount"))
API = os.environ.get("API", "https://kubernetes.default.svc")
NAMESPACE, NAME = os.environ["NAMESPACE"], os.environ["SECRET"]
FOLDER = Path(os.environ["FOLDER"])
NOT_FOUND = 404
#: The API takes as much as this of one Secret.
LARGEST = 1_000_000


def main() -> None:
    kept = _ask("GET", NAME)
    FOLDER.mkdir(mode=0o700, parents=True, exist_ok=True)
    before = {} if kept is None else kept.get("data") or {}
    for name, text in before.items():
        (FOLDER / name).write_bytes(base64.b64decode(text))
    subprocess.run([sys.executable, "-m", "hubbub_local", "kit", str(FOLDER), *sys.argv[1:]], check=True)
    files = {path.name: base64.b64encode(path.read_bytes()).decode() for path in FOLDER.iterdir() if path.is_file()}
    if sum(map(len, files.values())) > LARGEST:
        sys.exit("the secrets are too large for one Secret: fewer pools, or fewer revoked workers, would do")
    if kept is None:
        about = {"name": NAME, "labels": json.loads(os.environ["LABELS"])}
        _ask("POST", "", {"apiVersion": "v1", "kind": "Secret", "metadata": about, "data": files})
    elif files != before:
        # Refused if somebody else has changed it meanwhile: then the Job is tried again.
        version = {"resourceVersion": kept["metadata"]["resourceVersion"]}
        _ask("PUT", NAME, {**kept, "data": {**before, **files}, "metadata": {**kept["metadata"], **version}})
    became = "made" if kept is None else "as it was" if files == before else "up to date"
    sys.stdout.write(f"the Secret {NAME} is {became}\n")


def _ask(method: str, name: str, body: object = None) -> "dict[str, dict[str, str]] | None":
    """None if there is no such Secret."""
    url = f"{API}/api/v1/namespaces/{NAMESPACE}/secrets" + (f"/{name}" if name else "")
    headers = {"Authorization": f"Bearer {(ACCOUNT / 'token').read_text()}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310 - the cluster's own address
    trusted = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt")) if API.startswith("https:") else None
    try:
        with urllib.request.urlopen(request, timeout=30, context=trusted) as answer:  # noqa: S310
            found: dict[str, dict[str, str]] = json.load(answer)
            return found
    except urllib.error.HTTPError as error:
        if error.code == NOT_FOUND and method == "GET":
            return None
        sys.exit(f"the API of Kubernetes answers {error.code} to {method} of the Secret {NAME}")


if __name__ == "__main__":
    main()
