#!/usr/bin/env python3
"""Freezes the release of this tree: its wheels, its events and samples of its messages, in a folder named after it.

    python tests/releases/freeze.py        (`make freeze`)

From then on the tests run it beside what comes after it. What was frozen is never made anew.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
TREE = HERE.parents[1]
PACKAGES = ("shared", *(f"services/{each.name}" for each in sorted((TREE / "services").iterdir())), "deploy/local")


def main() -> None:
    sys.path.insert(0, str(TREE / "shared"))
    from hubbub import __version__

    folder = HERE / __version__
    if folder.exists():
        sys.exit(f"{folder} is there already: raise the version first, in hubbub/__init__.py and every pyproject.toml")
    half = folder.with_name(f"{__version__}.part")
    shutil.rmtree(half, ignore_errors=True)
    sources = [str(TREE / package) for package in PACKAGES]
    wheel = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(half)]
    subprocess.run([*wheel, *sources], check=True)
    shutil.copyfile(TREE / "shared/tests/golden/events.json", half / "events.json")
    wheels = os.pathsep.join(str(each) for each in sorted(half.glob("*.whl")))
    write = [sys.executable, str(HERE / "samples.py"), "write"]
    made = subprocess.run(write, check=True, capture_output=True, env={**os.environ, "PYTHONPATH": wheels})
    (half / "messages.json").write_bytes(made.stdout)
    half.rename(folder)
    print(f"frozen: {folder}")


if __name__ == "__main__":
    main()
