"""Without containers: the quick start of docs/systemd.md by the letter, on a machine of its own, and what follows."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from rigs.ground import Ground, until
from rigs.machine import CHECKOUT, Machine, machine

pytestmark = pytest.mark.system

PAGE = CHECKOUT / "docs" / "systemd.md"
UNITS = CHECKOUT / "deploy" / "systemd"
#: What the rig has done already: packages, and Hubbub itself.
DONE = ("apt-get install", "git clone", "make -C /opt/hubbub setup")
ENVIRON = "export HUBBUB_KIT=/etc/hubbub/secrets HUBBUB_CONFIG=/etc/hubbub/jupyterhub_config.py; "


def commands() -> list[str]:
    """Those of the page's quick start, in order."""
    part = PAGE.read_text().partition("## Quick start")[2].partition("\n## ")[0]
    return [line[4:] for line in part.splitlines() if line.startswith("    ")]


@pytest.fixture(scope="module")
def house(open_ground: Ground) -> Iterator[Machine]:
    """As it is when the last command of the quick start has been typed."""
    with machine(open_ground) as made:
        environment = ""
        for command in commands():
            if command.startswith(DONE):
                continue
            if command.startswith("export "):
                environment = f"{command}; "
                continue
            said = made.sh(environment + command, seconds=180)
            if command.startswith("hubbub password"):
                assert "/hub/password?link=" in said
        yield made


@pytest.fixture(scope="module")
def token(house: Machine) -> str:
    return house.sh(f"{ENVIRON} hubbub token ada").splitlines()[-1]


def asked(house: Machine, token: str, path: str, more: str = "") -> tuple[int, str]:
    """Status and body."""
    said = house.sh(
        f"curl -s -H 'Authorization: token {token}' {more} http://127.0.0.1:8000{path} -w '\\n%{{http_code}}'"
    )
    body, _, status = said.rpartition("\n")
    return int(status), body


def started(house: Machine, token: str, name: str = "") -> None:
    place = f"servers/{name}" if name else "server"
    status, body = asked(house, token, f"/hub/api/users/ada/{place}", "-X POST")
    assert status in (201, 202), (body, house.log())
    until(lambda: asked(house, token, "/user/ada/api/status")[0] == 200, 60, "a server that answers")


def test_every_unit_is_one_that_systemd_understands():
    files = sorted(str(path) for path in UNITS.glob("hubbub*") if path.suffix in (".service", ".socket", ".target"))
    done = subprocess.run(["systemd-analyze", "verify", *files], capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if "/opt/hubbub" not in line and "hubbub" in line]
    assert len(files) == 10
    assert not said, said


def test_after_the_quick_start_everything_runs_as_whom_the_page_says(house: Machine):
    assert house.sh("systemctl is-active hubbub.target").strip() == "active"
    assert house.sh("systemctl list-units 'hubbub*' --failed --no-legend").strip() == ""
    users = {
        unit: house.sh(f"ps -o user:20= -p $(systemctl show -P MainPID {unit})").strip()
        for unit in (
            "hubbub-api@1",
            "hubbub-auth@1",
            "hubbub-nats",
            "hubbub-proxy-sync@1",
            "hubbub-spawner-worker@default",
        )
    }
    assert list(users.values()) == ["hubbub", "hubbub", "hubbub-nats", "hubbub-proxy", "root"]


def test_ada_has_a_server_of_her_own(house: Machine, token: str):
    started(house, token)
    assert house.sh("ps -o user:20= -C jupyterhub-singl").split() == ["ada"]


def test_a_service_sees_the_secrets_that_it_needs_and_no_others(house: Machine):
    """As `hubbub-proxy`, who has the proxy's token."""
    pid = house.sh("systemctl show -P MainPID hubbub-proxy-sync@1").strip()
    seen = house.sh(f"ls /proc/{pid}/root/run/credentials/hubbub-proxy-sync@1.service").split()
    assert seen == ["nats-url", "proxy-token"]
    for place in ("/etc/hubbub/secrets/vault-key", "/run/credentials/hubbub-api@1.service/vault-key"):
        said = house.sh(f"runuser -u hubbub-proxy -- cat {place}", fails=True)
        assert "Permission denied" in said or "No such file" in said


def test_nobody_is_refused_while_services_restart(house: Machine, token: str):
    """And a server that runs is not touched."""
    server = house.sh("pgrep -u ada -f jupyterhub-singleuser").strip()
    with Asking(house, token, "/hub/api/user", "/user/ada/api/status") as asking:
        for unit in ("api@1", "auth@1", "spawner-worker@default", "proxy-sync@1", "poller@1"):
            house.sh(f"systemctl restart hubbub-{unit}", seconds=150)
    assert asking.answers.keys() == {"200"}, asking.answers
    assert asking.answers["200"] > 20
    assert house.sh("pgrep -u ada -f jupyterhub-singleuser").strip() == server


def test_passwords_of_nats_change_and_nobody_notices(house: Machine, token: str):
    before = house.sh("cat /etc/hubbub/secrets/nats-url-api")
    rotate = next(line.strip() for line in PAGE.read_text().splitlines() if line.startswith("    hubbub rotate nats"))
    with Asking(house, token, "/hub/api/user", "/user/ada/api/status") as asking:
        assert "nats: done" in house.sh(ENVIRON + rotate, seconds=300)
    assert asking.answers.keys() == {"200"}, asking.answers
    after = house.sh("cat /etc/hubbub/secrets/nats-url-api")
    assert after != before
    assert before.split("@")[0] not in house.sh("cat /run/hubbub-nats/nats-users.conf")


def test_a_worker_by_credential_is_a_unit_too_and_ends_when_it_is_revoked(house: Machine, token: str):
    """Here it is on the same machine: what it knows of the hub is in the credential alone."""
    reload = "--reload 'systemctl reload hubbub-nats'"
    house.sh(f"{ENVIRON} hubbub worker add --name far-1 {reload} > /etc/hubbub/worker.json")
    assert "far-1" in house.sh(f"{ENVIRON} hubbub worker list")
    house.sh("systemctl start hubbub-worker", seconds=150)
    [pool] = json.loads(asked(house, token, "/hub/api/pools")[1])
    assert pool["workers"] == 2
    house.sh(f"{ENVIRON} hubbub worker revoke far-1 {reload}")
    until(lambda: "Authorization Violation" in house.sh("journalctl -u hubbub-worker --no-pager"), 30, "its end")
    house.sh("systemctl stop hubbub-worker")


class Asking:
    """Requests, one after the other, as long as the block; `answers`: how many of each status."""

    def __init__(self, house: Machine, token: str, *paths: str) -> None:
        self._house = house
        self._run = Path(f"/proc/{house.leader}/root/run")
        urls = " ".join(f"http://127.0.0.1:8000{path}" for path in paths)
        ask = f"curl -s -o /dev/null --max-time 60 -H 'Authorization: token {token}' $url -w '%{{http_code}}\\n'"
        self._script = f"while [ ! -e stop ]; do for url in {urls}; do {ask} >> codes; done; done; touch stopped"
        self.answers: dict[str, int] = {}

    def __enter__(self) -> "Asking":
        for name in ("stop", "stopped", "codes"):
            (self._run / name).unlink(missing_ok=True)
        (self._run / "ask.sh").write_text(self._script)
        self._house.sh("systemd-run --quiet --collect --working-directory=/run bash /run/ask.sh")
        return self

    def __exit__(self, *_: object) -> None:
        (self._run / "stop").touch()
        until((self._run / "stopped").exists, 90, "the end of the requests")
        codes = (self._run / "codes").read_text().split()
        self.answers = {code: codes.count(code) for code in codes}


def test_the_page_names_every_unit():
    text = PAGE.read_text()
    for path in UNITS.glob("hubbub*.service"):
        name = re.sub(r"@?\.service$", "", path.name)
        assert name in text or name == "hubbub-worker", name
