"""`systemd-run` and `systemctl` as far as jupyterhub-systemdspawner knows them (see systemd.py, the rig)."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

UNITS = Path(os.environ["RIG_UNITS"])
STOP_SECONDS = 10


def systemd_run(arguments: list[str]) -> int:
    """Start a unit. As of systemd: its environment has what it is told, and not much else."""
    options, properties = {}, {}
    while arguments and arguments[0].startswith("--"):
        name, _, value = arguments.pop(0).removeprefix("--").partition("=")
        value = value or arguments.pop(0)
        if name == "property":
            key, _, value = value.partition("=")
            properties[key] = value
        else:
            options[name] = value
    unit = options["unit"]
    if (UNITS / unit).exists():
        print(f"Failed to start transient service unit: Unit {unit}.service already exists.", file=sys.stderr)
        return 1
    environ = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
    if "EnvironmentFile" in properties:
        for word in shlex.split(Path(properties["EnvironmentFile"]).read_text()):
            key, _, value = word.partition("=")
            environ[key] = value
    if os.fork() == 0:
        _watch(unit, arguments, environ, options, properties)
    while not (UNITS / unit).exists():
        time.sleep(0.005)
    return 0


def _watch(unit: str, command: list[str], environ: dict[str, str], options: dict, properties: dict) -> None:
    """What the first process of the host does: start it, wait for it, note how it ended."""
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(null, number)
    account = {key: int(options[name]) for key, name in (("user", "uid"), ("group", "gid")) if name in options}
    folder = options["working-directory"]
    process = subprocess.Popen(
        command, env=environ, cwd=folder, start_new_session=True, extra_groups=[] if account else None, **account
    )
    _note(unit, pid=process.pid, status=None)
    status = process.wait()
    if "RuntimeDirectory" in properties:
        shutil.rmtree(Path("/run", properties["RuntimeDirectory"]), ignore_errors=True)
    _forget(unit) if status in (0, -signal.SIGTERM) else _note(unit, pid=None, status=status)
    os._exit(0)


def systemctl(arguments: list[str]) -> int:
    match arguments:
        case ["--version"]:
            print("systemd 252 (rig)")
            return 0
        case ["is-active", unit]:
            state = "active" if (known := _known(unit)) and known["pid"] else "inactive"
            print(state)
            return 0 if state == "active" else 3
        case ["is-failed", unit]:
            return 0 if (known := _known(unit)) and known["status"] else 1
        case ["reset-failed", unit]:
            _forget(unit)
            return 0
        case ["stop", unit]:
            return _stop(unit)
        case _:
            print(f"not in this rig: systemctl {arguments}", file=sys.stderr)
            return 1


def _stop(unit: str) -> int:
    known = _known(unit)
    if known is None:
        print(f"Failed to stop {unit}.service: Unit {unit}.service not loaded.", file=sys.stderr)
        return 5
    if known["pid"]:
        ends = time.monotonic() + STOP_SECONDS
        os.killpg(known["pid"], signal.SIGTERM)
        while (now := _known(unit)) and now["pid"]:
            if time.monotonic() > ends:
                os.killpg(known["pid"], signal.SIGKILL)
            time.sleep(0.01)
    _forget(unit)
    return 0


def _known(unit: str) -> dict | None:
    try:
        return json.loads((UNITS / unit).read_text())
    except FileNotFoundError:
        return None


def _note(unit: str, **about: object) -> None:
    new = UNITS.parent / f"{unit}.{os.getpid()}"
    new.write_text(json.dumps(about))
    new.rename(UNITS / unit)


def _forget(unit: str) -> None:
    (UNITS / unit).unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit({"systemd-run": systemd_run, "systemctl": systemctl}[sys.argv[1]](sys.argv[2:]))
