"""The Helm chart as Kubernetes would get it: rendered by helm itself, and read."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parents[3] / "deploy" / "helm" / "hubbub"
#: A package of Python has brought it.
HELM = Path(sys.executable).parent / "helm"
RELEASE = "h"

Resource = dict[str, Any]


class Refused(Exception):
    """What helm says."""


def helm(*arguments: str, values: dict[str, Any] | None = None) -> str:
    command = [str(HELM), *arguments, *(["--values", "-"] if values is not None else [])]
    done = subprocess.run(command, input=json.dumps(values), capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise Refused(done.stderr)
    return done.stdout


def render(values: dict[str, Any] | None = None) -> "Rendered":
    text = helm("template", RELEASE, str(CHART), "--namespace", "hub", values=values or {})
    return Rendered([each for each in yaml.safe_load_all(text) if each])


@dataclass(frozen=True)
class Rendered:
    resources: list[Resource]

    def of(self, kind: str) -> dict[str, Resource]:
        """By name."""
        return {each["metadata"]["name"]: each for each in self.resources if each["kind"] == kind}

    def pods(self) -> dict[str, Resource]:
        """The templates of all pods, by the name of what makes them."""
        return {
            name: made["spec"]["template"]
            for kind in ("Deployment", "StatefulSet", "Job")
            for name, made in self.of(kind).items()
        }

    def environment(self, name: str) -> dict[str, str]:
        """Of the first container of the pods called so; what Kubernetes fills in is left out."""
        container = self.pods()[name]["spec"]["containers"][0]
        return {each["name"]: each["value"] for each in container.get("env", []) if "value" in each}

    def secrets_of(self, name: str) -> set[str] | None:
        """The names of the secrets that a pod sees; None: all."""
        for volume in self.pods()[name]["spec"].get("volumes", []):
            if "secret" in volume:
                items = volume["secret"].get("items")
                return None if items is None else {item["key"] for item in items}
        return set()

    def doors(self) -> dict[str, dict[int, set[str] | None]]:
        """Who may come to each part, by port: names of parts; None: anybody."""
        return {
            policy["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"]: {
                port["port"]: _peers(rule)
                for rule in policy["spec"].get("ingress", [])
                for port in rule.get("ports", [{"port": 0}])
            }
            for policy in self.of("NetworkPolicy").values()
        }


def _peers(rule: Resource) -> set[str] | None:
    if "from" not in rule:
        return None
    return {
        peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"]
        for peer in rule["from"]
        if "podSelector" in peer
    }
