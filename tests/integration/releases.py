"""A hub whose parts are of one release or another, as in the middle of an upgrade."""

import json
import zipfile
from pathlib import Path

HERE = Path(__file__).parent
FROZEN = HERE.parent / "releases"
OLD = "0.1.0"
SERVICES = ("api", "auth", "poller", "proxy-sync", "spawner-worker")


class Mixture:
    """`environ` is for a hub that is of it; what changes counts from the next start of each part on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._chosen: dict[str, str] = {}
        folder.mkdir(parents=True)
        for wheel in (FROZEN / OLD).glob("*.whl"):
            zipfile.ZipFile(wheel).extractall(folder / OLD)
        self._write()

    @property
    def environ(self) -> dict[str, str]:
        return {"PYTHONPATH": str(HERE / "old_and_new"), "RELEASES_OF": str(self._folder / "releases.json")}

    def old(self, *parts: str) -> None:
        """Services are these of the first release; `hubbub` itself is "" here."""
        for part in parts:
            self._chosen[part] = str(self._folder / OLD)
        self._write()

    def new(self, *parts: str) -> None:
        for part in parts:
            self._chosen.pop(part, None)
        self._write()

    def _write(self) -> None:
        (self._folder / "releases.json").write_text(json.dumps(self._chosen))
