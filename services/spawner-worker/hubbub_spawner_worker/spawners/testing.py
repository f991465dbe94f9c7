"""Spawners to try things with that start nothing: no worker and no host is needed for hooks, forms and options."""

from typing import Any

import traitlets
from traitlets.config import Config

from hubbub_spawner_worker.spawners import Group, Hub, Spawner, User


class Bare(Spawner):
    """It says that its server runs, wherever that is. `image` and `workers`: for somebody to choose."""

    image = traitlets.Unicode("small").tag(config=True)
    workers = traitlets.Integer(1)

    async def start(self) -> str:
        return "http://host:1"

    async def stop(self, now: bool = False) -> None:  # noqa: FBT001, FBT002
        """Nothing is there to be stopped."""

    async def poll(self) -> None:
        return None


class Keeper:
    """Of one person's auth state."""

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        self.state = state

    async def get(self) -> dict[str, Any] | None:
        return self.state

    async def save(self, state: dict[str, Any] | None) -> None:
        self.state = state


def made(kind: type[Spawner] = Bare, *, groups: tuple[Group, ...] = (), **options: Any) -> Any:
    """Ada's spawner of her server `lab`, with those *options* of `c.Spawner`."""
    config = Config()
    config.Spawner.update(options)
    keeper = Keeper({"token": "t"})
    return kind(
        config=config,
        user=User(name="ada", id=7, url="/base/user/ada/", escaped_name="ada", groups=groups, keeper=keeper),
        hub=Hub(api_url="http://10.0.0.1:8081/base/hub/api", base_url="/base/hub/"),
        name="lab",
        prefix="/base/user/ada/lab/",
        oauth_access_scopes=["access:servers!user=ada"],
    )
