"""The migrations, in order. One that was released is never edited: add the next."""

from dataclasses import dataclass
from importlib.resources import files

ROLES = ("hubbub_api", "hubbub_auth")


@dataclass(frozen=True)
class Migration:
    """`breaks`: whether releases that do not know it cannot go on beside it. Additive ones do not."""

    number: int
    name: str
    breaks: bool = False

    @property
    def sql(self) -> str:
        return files("hubbub.schema").joinpath(f"{self.number:04}_{self.name}.sql").read_text()


MIGRATIONS = (
    Migration(1, "house"),
    Migration(2, "contract"),
    Migration(3, "spawners"),
    Migration(4, "logins"),
    Migration(5, "history"),
    Migration(6, "about"),
    Migration(7, "house"),
    Migration(8, "figures"),
    Migration(9, "people"),
    Migration(10, "traces"),
    Migration(11, "culls"),
    Migration(12, "moving"),
    Migration(13, "archive"),
    Migration(14, "usage"),
    Migration(15, "metrics"),
)
