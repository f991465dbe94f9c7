"""Ways to run a single-user server, and what to derive your own from."""

from hubbub_spawner_worker.spawners.local import LocalProcessSpawner, SimpleLocalProcessSpawner
from hubbub_spawner_worker.spawners.spawner import Group, Hub, Spawner, User

__all__ = ["Group", "Hub", "LocalProcessSpawner", "SimpleLocalProcessSpawner", "Spawner", "User"]
