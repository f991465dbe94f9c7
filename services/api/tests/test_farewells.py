"""Who removes a server or a user has the spawner's `delete_forever` called, with all that was known of it."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
from cryptography.fernet import Fernet, MultiFernet
from msgspec import json as wire
from structlog.testing import capture_logs

from hubbub.bus import BusUnavailable
from hubbub.config import Options
from hubbub.domain.server_messages import ReportExit, StopServer
from hubbub.farewell_messages import Forget, Gone
from hubbub.rpc import Done, Refusal
from hubbub.views import SERVERS
from hubbub_api import keys
from hubbub_api.farewells import Farewells
from hubbub_api.testing import BUS_KEY, BY_TEST, LATER, Worker

OWN = {"allow_named_servers": True, "spawner_class": "disks.DiskSpawner"}
KEY = MultiFernet([Fernet(Fernet.generate_key())])


class Heard(Farewells):
    """*answers*: to one question after the other; then they are taken. `told`: by pool."""

    def __init__(self, options: Options, *answers: Done | Exception, patience: float = 20.0) -> None:
        super().__init__(None, KEY, options, patience=patience)  # type: ignore[arg-type]
        self.answers = list(answers)
        self.told: list[tuple[str, Gone]] = []

    async def _ask(self, pool: str, message: Forget, timeout: float) -> Done:
        answer = self.answers.pop(0) if self.answers else Done()
        if isinstance(answer, Exception):
            raise answer
        self.told.append((pool, wire.decode(KEY.decrypt(message.sealed.encode()), type=Gone)))
        return answer

    async def settled(self) -> list[tuple[str, Gone]]:
        for task in list(self._tasks):
            await task
        return self.told


Put = Callable[..., Heard]


@pytest.fixture
async def root(house) -> str:
    """A token of an administrator; there is ada, in a group."""
    await house.settle(load_groups={"staff": {"users": ["ada"], "properties": {"room": 3}}})
    await house.person("root", admin=True)
    return await house.token("root")


@pytest.fixture
def hear(house, options) -> Put:
    """hear(*answers): what workers are told from now on."""

    def put(*answers: Done | Exception, **more: Any) -> Heard:
        heard = Heard(options, *answers, **more)
        house.client.app._state[keys.FAREWELLS] = heard
        return heard

    return put


@pytest.fixture
def send(house, root) -> Callable[..., Awaitable[int]]:
    async def ask(method: str, path: str, **more: Any) -> int:
        answer = await house.ask(f"/hub/api/users/{path}", token=root, method=method, **more)
        return int(answer.status)

    return ask


own = pytest.mark.parametrize("options", [OWN], indirect=True)


@own
async def test_a_removed_server_is_told_of_with_its_options(send, hear):
    heard = hear()
    assert await send("PUT", "ada/servers/lab", json={"user_options": {"disk": 5}}) == 201
    assert await send("DELETE", "ada/servers/lab") == 204
    assert await heard.settled() == []
    assert await send("DELETE", "ada/servers/lab", json={"remove": True}) == 204
    [(pool, gone)] = await heard.settled()
    assert (pool, gone.name, gone.options) == ("default", "lab", {"disk": 5})
    assert (gone.person.name, gone.person.groups, gone.groups) == ("ada", ("staff",), {"staff": {"room": 3}})


@own
async def test_what_its_spawner_still_knows_when_it_has_stopped_is_for_the_next_start_or_the_end(send, hear, house):
    """In JupyterHub it is so: the name of a volume outlives the server that it was made for."""
    worker, heard = Worker(house, reach="pool"), hear()
    server, _ = await worker.runs("ada", "lab")
    await house.committer.execute(SERVERS, server, StopServer(deadline=LATER), BY_TEST.follow())
    sealed = BUS_KEY.encrypt(wire.encode({"volume": "v1"})).decode()
    exited = ReportExit(attempt=1, worker="?", status="0", deadline=LATER, sealed=sealed)
    for _ in range(2):
        await worker.reports(server, exited)
    await worker.asks("ada", "lab")
    [claimed] = await worker.claims()
    assert claimed.sealed["state"] == {"volume": "v1"}
    await house.committer.execute(SERVERS, server, StopServer(deadline=LATER), BY_TEST.follow())
    await worker.reports(server, msgspec.structs.replace(exited, attempt=2))
    assert await send("DELETE", "ada/servers/lab", json={"remove": True}) == 204
    assert [gone.state for _, gone in await heard.settled()] == [{"volume": "v1"}]


@own
async def test_all_servers_of_a_deleted_user_are_told_of(send, hear, house):
    heard = hear()
    for path in ("ada/servers/lab", "ada/servers/two"):
        assert await send("PUT", path) == 201
    assert await send("DELETE", "ada/server") == 204
    assert await send("DELETE", "ada") == 204
    assert sorted(gone.name for _, gone in await heard.settled()) == ["", "lab", "two"]


@own
async def test_a_worker_that_comes_back_is_told(send, hear):
    heard = hear(BusUnavailable("nobody"))
    await send("PUT", "ada/servers/lab")
    assert await send("DELETE", "ada/servers/lab", json={"remove": True}) == 204
    assert [gone.name for _, gone in await heard.settled()] == ["lab"]


@own
@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (BusUnavailable("nobody"), "nobody"),
        (Done(refused=Refusal(kind="Invalid", message="another key")), "another key"),
    ],
)
async def test_a_server_is_gone_whatever_becomes_of_what_it_had_stored(send, hear, answer, why):
    heard = hear(answer, patience=0.05)
    await send("PUT", "ada/servers/lab")
    with capture_logs() as logs:
        assert await send("DELETE", "ada/servers/lab", json={"remove": True}) == 204
        await heard.settled()
    assert [line["why"] for line in logs if line["event"] == "server.not_forgotten"] == [why]
    assert await send("GET", "ada/servers/lab") == 404


@pytest.mark.parametrize("options", [{"allow_named_servers": True, "spawner_class": "simple"}], indirect=True)
async def test_nobody_is_asked_about_classes_that_store_nothing(send, hear):
    heard = hear()
    await send("PUT", "ada/servers/lab")
    assert await send("DELETE", "ada/servers/lab", json={"remove": True}) == 204
    assert await heard.settled() == []
