"""Asking a pool's workers for options forms, over a real bus: they may be slow, hang, be on their way back, or gone."""

import asyncio
import time

import msgspec
import pytest
from cryptography.fernet import Fernet
from traitlets.config import Config

from hubbub import bus
from hubbub.config import Options
from hubbub.form_messages import File, FormAnswer, FormAnswered, FormAsk, FormAsked, WebRequest
from hubbub.rpc import Done, Person, Refusal
from hubbub.testing.nats import NatsServer
from hubbub_api import forms as asking
from hubbub_api.forms import Forms, NoWorker, TooLarge, formless

ADA = Person(id="p1", number=1, name="ada", admin=False, groups=("staff",))
REQUEST = WebRequest(user=ADA, method="GET", path="/hub/spawn", host="hub", protocol="http", remote_ip="::1")
FORM = FormAsked(kind="form", person=ADA, name="", request=REQUEST)
KEY = Fernet(Fernet.generate_key())


def options(spawner_class="their.Spawner", **sections):
    return Options(Config({"JupyterHub": {"spawner_class": spawner_class}, **sections}))


@pytest.fixture(scope="module")
def nats(tmp_path_factory):
    server = NatsServer(tmp_path_factory.mktemp("nats"), ["default", "gpu"])
    server.start()
    yield server
    server.kill()


@pytest.fixture
async def connection(nats):
    async with bus.connect(nats.url("api"), "api") as connected:
        yield connected


@pytest.fixture
async def worker(nats):
    """worker(pool, answers): one that answers with each of them in turn, the last one from then on. What it heard."""
    connections = []

    async def make(pool="default", *answers, takes=True, before=None):
        heard, left = [], list(answers)
        entered = bus.connect(nats.url(f"pool-{pool}"), "w")
        connected = await entered.__aenter__()
        connections.append(entered)

        async def hear(_, data):
            ask = msgspec.json.decode(data, type=FormAsk)
            heard.append(msgspec.json.decode(KEY.decrypt(ask.sealed), type=FormAsked))
            if not takes:
                return None  # it hangs
            asyncio.get_running_loop().create_task(send(ask.inbox))
            return Done()

        async def send(inbox):
            if before:
                await before.wait()
            answer = left.pop(0) if len(left) > 1 else left[0]
            sealed = KEY.encrypt(msgspec.json.encode(answer)).decode()
            await connected.signal(inbox, FormAnswer(sealed=sealed))

        await connected.answer(f"hub.form.{pool}", hear, queue=pool)
        await connected.arrived()
        return heard

    yield make
    for entered in connections:
        await entered.__aexit__(None, None, None)


async def test_a_worker_of_the_persons_pool_answers(connection, worker):
    default, gpu = await worker("default", FormAnswered(html="d")), await worker("gpu", FormAnswered(html="g"))
    pooled = options(Hubbub={"pools": {"gpu": {"groups": {"staff"}}}})
    assert (await Forms(connection, KEY, pooled).ask(FORM)).html == "g"
    assert (default, gpu) == ([], [FORM])


async def test_one_that_is_slow_is_waited_for(connection, worker, monkeypatch):
    monkeypatch.setattr(asking, "TAKEN_WITHIN", 0.2)
    release = asyncio.Event()
    await worker("default", FormAnswered(html="x"), before=release)
    answer = asyncio.create_task(Forms(connection, KEY, options()).ask(FORM))
    await asyncio.wait({answer}, timeout=0.5)
    assert not answer.done()
    release.set()
    assert (await answer).html == "x"


async def test_one_that_hangs_is_given_up_for_another(connection, worker, monkeypatch):
    monkeypatch.setattr(asking, "_PATIENCE", 0.1)
    monkeypatch.setattr(asking, "TAKEN_WITHIN", 20.0)
    await worker("default", FormAnswered(), takes=False)
    await worker("default", FormAnswered(html="x"))
    for _ in range(5):
        assert (await Forms(connection, KEY, options()).ask(FORM)).html == "x"


async def test_one_that_is_on_its_way_back_is_waited_for(connection, worker):
    answer = asyncio.create_task(Forms(connection, KEY, options()).ask(FORM))
    await asyncio.wait({answer}, timeout=0.3)
    assert not answer.done()
    await worker("default", FormAnswered(html="x"))
    assert (await answer).html == "x"


async def test_nobody_is_not_waited_for_long(connection, monkeypatch):
    monkeypatch.setattr(asking, "TAKEN_WITHIN", 0.3)
    began = time.monotonic()
    with pytest.raises(NoWorker, match=r"No worker answers\."):
        await Forms(connection, KEY, options()).ask(FORM)
    assert time.monotonic() - began < 3


async def test_one_that_took_it_and_died_is_not_waited_for_for_ever(connection, worker, monkeypatch):
    monkeypatch.setattr(asking, "ANSWERED_WITHIN", 0.1)
    await worker("default", FormAnswered(), before=asyncio.Event())
    with pytest.raises(NoWorker, match=r"No worker has answered"):
        await Forms(connection, KEY, options()).ask(FORM)


async def test_one_with_another_key_is_named(connection, nats):
    async def refuse(_, __):
        return Done(refused=Refusal(kind="Invalid", message="it has another key"))

    async with bus.connect(nats.url("pool-default"), "w") as worker:
        await worker.answer("hub.form.default", refuse)
        await worker.arrived()
        with pytest.raises(NoWorker, match=r"cannot answer: it has another key\."):
            await Forms(connection, KEY, options()).ask(FORM)


async def test_a_form_for_everybody_is_kept_for_a_while_and_nothing_else_is(connection, worker, monkeypatch):
    heard = await worker("default", FormAnswered(html="x", lasting=True))
    forms = Forms(connection, KEY, options())
    assert [(await forms.ask(FORM)).html for _ in range(3)] == ["x", "x", "x"]
    assert len(heard) == 1
    await forms.ask(msgspec.structs.replace(FORM, kind="posted"))
    assert len(heard) == 2
    monkeypatch.setattr(asking.time, "monotonic", lambda now=time.monotonic: now() + asking.KEPT)
    await forms.ask(FORM)
    assert len(heard) == 3


async def test_forms_of_each_persons_own_are_not_kept(connection, worker):
    heard = await worker("default", FormAnswered(html="x"))
    forms = Forms(connection, KEY, options())
    await forms.ask(FORM)
    await forms.ask(FORM)
    assert len(heard) == 2


async def test_a_file_just_below_the_named_limit_fits_and_a_larger_one_does_not(connection, worker):
    heard = await worker("default", FormAnswered(options={}))
    forms = Forms(connection, KEY, options())

    def posted(size):
        file = File(filename="f", content_type="t", body=b"\xff" * size)
        return msgspec.structs.replace(FORM, kind="posted", files={"f": [file]})

    await forms.ask(posted(TooLarge.limit - 2000))
    assert len(heard[0].files["f"][0].body) == TooLarge.limit - 2000
    with pytest.raises(TooLarge):
        await forms.ask(posted(TooLarge.limit + 2000))


async def test_files_of_the_last_start_leave_room_for_new_ones(connection, worker):
    heard = await worker("default", FormAnswered(options={}))
    forms, last = Forms(connection, KEY, options()), {"notes": "x" * 120_000}
    for size, told in ((1000, last), (100_000, {})):
        files = {"f": [File(filename="f", content_type="t", body=b"x" * size)]}
        await forms.ask(msgspec.structs.replace(FORM, kind="posted", files=files, options=last))
        assert heard[-1].options == told


@pytest.mark.parametrize(
    ("said", "known"),
    [
        (options("simple"), True),
        (options("localprocess"), True),
        (options("localprocess", Spawner={"mem_limit": 5}), True),
        (options("localprocess", Spawner={"options_form": "x"}), False),
        (options("localprocess", LocalProcessSpawner={"options_form": "x"}), False),
        (options("localprocess", Spawner={"auth_state_hook": print}), False),
        (options("docker"), False),
        (options("their.Spawner"), False),
        (options("simple", Hubbub={"pools": {"default": {"spawner_class": "docker"}}}), False),
    ],
)
async def test_whether_there_is_a_form_need_not_be_asked_of_classes_of_ours_without_any(said, known):
    assert formless(said, "default") is known
    if known:
        assert await Forms(None, KEY, said).ask(FORM) == FormAnswered()
