"""A server is removed, and its spawner puts away what it had stored: asked over a real bus."""

import asyncio
from typing import ClassVar

import msgspec
import pytest
from cryptography.fernet import Fernet
from jupyterhub.spawner import SimpleLocalProcessSpawner as Classic

from hubbub.farewell_messages import Forget, Gone
from hubbub.rpc import Done, Person
from hubbub_spawner_worker.farewells import is_written
from hubbub_spawner_worker.spawners import LocalProcessSpawner, SimpleLocalProcessSpawner, Spawner

ADA = Person(id="p1", number=7, name="ada", admin=False, groups=("staff",))
GONE = Gone(
    server="s1", person=ADA, name="lab", options={"disk": 5}, state={"volume": "v1"}, groups={"staff": {"room": 3}}
)


class Stores:
    """What the two classes below have in common: they say what they know when they are told."""

    told: ClassVar[list] = []

    def load_state(self, state):
        super().load_state(state)
        self.volume = state.get("volume")

    async def delete_forever(self):
        if self.user.name == "eve":
            raise OSError("the disk is away")
        groups = {group.name: group.properties for group in self.user.groups}
        Stores.told.append((self.user.name, self.user.id, self.name, self.volume, self.user_options, groups))


class Ours(Stores, Spawner):
    pass


class Theirs(Stores, Classic):
    pass


class Blocks(Theirs):
    def delete_forever(self):
        """Not async, as JupyterHub allows."""
        Stores.told.append(self.volume)


@pytest.fixture
async def forget(connection, api):
    async def ask(gone, *, key=None):
        sealed = Fernet(key or api.key).encrypt(msgspec.json.encode(gone)).decode()
        return (await connection.ask_until_answered(f"hub.forget.{api.pool}", Forget(sealed=sealed), Done)).refused

    Stores.told = []
    return ask


async def until_told(number=1):
    async with asyncio.timeout(20):
        while len(Stores.told) < number:
            await asyncio.sleep(0.01)  # it is told to nobody but a list
    return Stores.told


@pytest.mark.parametrize("kind", [Ours, Theirs])
async def test_a_spawner_is_made_as_it_was_and_told(hire, forget, kind):
    await hire("w1", kind)
    assert await forget(GONE) is None
    assert await until_told() == [("ada", 7, "lab", "v1", {"disk": 5}, {"staff": {"room": 3}})]


async def test_what_fails_is_only_logged_and_the_next_one_is_told(hire, forget):
    hired = await hire("w1", Theirs)
    await forget(msgspec.structs.replace(GONE, person=msgspec.structs.replace(ADA, name="eve")))
    await forget(GONE)
    assert [name for name, *_ in await until_told()] == ["ada"]
    assert not hired.task.done()


async def test_it_need_not_be_async(hire, forget):
    await hire("w1", Blocks)
    await forget(GONE)
    assert await until_told() == ["v1"]


async def test_one_worker_of_the_pool_does_it(hire, forget):
    for name in ("w1", "w2"):
        await hire(name, Ours)
    for number in range(4):
        await forget(msgspec.structs.replace(GONE, state={"volume": number}))
    assert sorted(volume for _, _, _, volume, _, _ in await until_told(4)) == [0, 1, 2, 3]


async def test_what_another_key_has_sealed_is_not_read(hire, forget):
    await hire("w1", Ours)
    assert "HUBBUB_BUS_KEY" in (await forget(GONE, key=Fernet.generate_key())).message


async def test_a_class_that_stores_nothing_is_not_even_made(hire, forget):
    """Nor is read what was said."""
    await hire("w1", "simple")
    assert await forget(GONE, key=Fernet.generate_key()) is None


@pytest.mark.parametrize(
    ("kind", "written"),
    [(Spawner, False), (LocalProcessSpawner, False), (SimpleLocalProcessSpawner, False), (Classic, False),
     (Ours, True), (Theirs, True), (type("Derived", (Ours,), {}), True), (type("Other", (Classic,), {}), False)],
)  # fmt: skip
def test_whether_somebody_has_written_it(kind, written):
    assert is_written(kind) is written
