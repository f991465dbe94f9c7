"""A stand-in of the Kubernetes API, for kubespawner: a process of its own, that outlives every hub of a test."""

import json
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hubbub.free_port import free_port
from rigs.ground import Ground, daemon, until

PROGRAM = Path(__file__).parent / "kube_api.py"
SETTINGS = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "rig",
    "contexts": [{"name": "rig", "context": {"cluster": "rig", "user": "rig"}}],
    "users": [{"name": "rig", "user": {"token": "token-of-the-rig"}}],
}


@dataclass(frozen=True)
class KubeRig:
    url: str
    settings: Path

    @property
    def environ(self) -> dict[str, str]:
        return {"KUBECONFIG": str(self.settings)}

    def pods(self) -> list[str]:
        """All that there are."""
        return [pod["metadata"]["name"] for pod in self._ask("GET", "pods")["items"]]

    def live(self) -> list[str]:
        """Those with a process."""
        found = self._ask("GET", "pods")["items"]
        return [pod["metadata"]["name"] for pod in found if pod["status"].get("phase") in ("Pending", "Running")]

    def kill(self, name: str) -> None:
        """As an administrator does it, or a node that is drained."""
        self._ask("DELETE", f"pods/{name}?gracePeriodSeconds=0")

    def clear(self) -> None:
        for pod in self.pods():
            self.kill(pod)

    def _ask(self, method: str, path: str) -> dict[str, Any]:
        request = urllib.request.Request(f"{self.url}/api/v1/namespaces/default/{path}", method=method)
        with urllib.request.urlopen(request, timeout=10) as response:
            answer: dict[str, Any] = json.loads(response.read())
            return answer


@contextmanager
def kube_rig(ground: Ground) -> Iterator[KubeRig]:
    room = ground.room("kube")
    port = free_port()
    rig = KubeRig(f"http://127.0.0.1:{port}", room / "config")
    cluster = [{"name": "rig", "cluster": {"server": rig.url}}]
    rig.settings.write_text(json.dumps({**SETTINGS, "clusters": cluster}))
    with daemon(room, sys.executable, PROGRAM, str(port)) as runs:
        until(lambda: _answers(rig), 10, f"the stand-in of Kubernetes: see {room}", runs)
        yield rig
        rig.clear()


def _answers(rig: KubeRig) -> bool:
    try:
        return rig.pods() == []
    except OSError:
        return False
