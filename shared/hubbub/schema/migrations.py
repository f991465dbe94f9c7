"""The migrations, in order. One that was released is never edited: add the next."""

from dataclasses import dataclass
from importlib.resources import files

ROLES = ("hubbub_api", "hubbub_auth")


@dataclass(frozen=True)
class Migration:
    number: int
    name: str

    @property
    def sql(self) -> str:
        return files("hubbub.schema").joinpath(f"{self.number:04}_{self.name}.sql").read_text()


MIGRATIONS = (Migration(1, "house"), Migration(2, "contract"), Migration(3, "spawners"))
