"""Ways to run a single-user server, and what to derive your own from."""

from hubbub_spawner_worker.spawners.exception import SpawnException
from hubbub_spawner_worker.spawners.local import LocalProcessSpawner, SimpleLocalProcessSpawner
from hubbub_spawner_worker.spawners.spawner import Spawner
from hubbub_spawner_worker.spawners.surroundings import Group, Hub, Server, User

__all__ = [
    "Group",
    "Hub",
    "LocalProcessSpawner",
    "Server",
    "SimpleLocalProcessSpawner",
    "SpawnException",
    "Spawner",
    "User",
]
