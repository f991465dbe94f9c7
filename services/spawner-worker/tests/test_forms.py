"""Options forms, as a worker works them out: with the operator's code, on the floor, asked over a real bus."""

import asyncio
import base64
import sys
import threading

import msgspec
import pytest
from cryptography.fernet import Fernet
from traitlets.config import Config

from hubbub import bus
from hubbub.as_in_tornado import Handler
from hubbub.floor import Floor
from hubbub.form_messages import File, FormAnswer, FormAnswered, FormAsk, FormAsked, WebRequest
from hubbub.rpc import Done, Person
from hubbub_spawner_worker.form_hosted import FormHosted
from hubbub_spawner_worker.forms import Forms
from hubbub_spawner_worker.hosted import Hosted
from hubbub_spawner_worker.spawners import Group, Spawner, User
from hubbub_spawner_worker.spawners.exception import SpawnException

ADA = Person(id="p1", number=1, name="ada", admin=False)
REQUEST = WebRequest(
    user=ADA, method="GET", path="/hub/spawn", query="kind=gpu", host="hub", protocol="http", remote_ip="::1"
)


class Maker:
    """Makes spawners of *kind* as `Hosting` does."""

    def __init__(self, floor, kind=Spawner, **options):
        self.floor = floor
        self.kind = kind
        self.config = Config({"Spawner": options})

    async def form_spawner(self, asked):
        groups = tuple(Group(name=name, properties=said) for name, said in asked.groups.items())
        user = User(name=asked.person.name, id=1, url="/user/ada/", escaped_name="ada", groups=groups)
        made = self.kind(config=self.config, user=user, name=asked.name)
        made.user_options = asked.options
        hosted = Hosted(spawner=made, seat=self.floor, floor=self.floor, reach="process")
        return FormHosted(hosted, Handler(asked.request, user), asked.auth_state)


@pytest.fixture(scope="module")
def floor():
    return Floor()


@pytest.fixture
def answer(floor):
    """answer(kind, options of c.Spawner, class, what is asked): what a worker answers, without a bus."""

    async def ask(kind, configured=None, spawner=Spawner, patience=10.0, **asked):
        maker = Maker(floor, spawner, **(configured or {}))
        forms = Forms(None, maker, Fernet(Fernet.generate_key()), pool="x", patience=patience)
        return await forms.answer(FormAsked(kind=kind, person=ADA, name="", request=REQUEST, **asked))

    return ask


async def slowly(spawner):
    await asyncio.sleep(0)
    return f"<p>{spawner.user.name}</p>"


def by_request(spawner):
    return f"{spawner.handler.get_argument('kind')} for {spawner.handler.current_user.name}"


def by_group(spawner):
    return str([(group.name, group.properties) for group in spawner.user.groups])


def by_last(spawner):
    return f"<input value='{spawner.user_options.get('size', 1)}'>"


class Own(Spawner):
    async def get_options_form(self):
        return "own"


@pytest.mark.parametrize(
    ("form", "html"),
    [
        ("", ""),
        ("<input name='size'>", "<input name='size'>"),
        (lambda spawner: f"for {spawner.user.name}", "for ada"),
        (lambda spawner: None, ""),
        (slowly, "<p>ada</p>"),
        (by_request, "gpu for ada"),
        (by_group, "[('staff', {'gpu': 2})]"),
        (by_last, "<input value='3'>"),
    ],
    ids=["none", "text", "callable", "callable says nothing", "async", "request", "groups", "last options"],
)
async def test_a_form_is_a_text_or_made_by_a_callable(answer, form, html):
    found = await answer("form", {"options_form": form}, groups={"staff": {"gpu": 2}}, options={"size": 3})
    assert found.refused is None
    assert found.html == html


async def test_only_the_operators_own_text_is_the_same_for_everybody(answer):
    text = {"options_form": "x"}
    assert (await answer("form", text)).lasting
    assert not (await answer("form")).lasting
    assert not (await answer("form", {"options_form": lambda spawner: "x"})).lasting
    assert not (await answer("form", {"options_form": "own"}, Own)).lasting
    assert not (await answer("form", {**text, "auth_state_hook": lambda spawner, state: None})).lasting


async def test_what_was_learnt_at_login_may_shape_the_form(answer):
    def hook(spawner, auth_state):
        spawner.options_form = auth_state["form"]

    found = await answer("form", {"auth_state_hook": hook}, auth_state={"form": "theirs"})
    assert found.html == "theirs"


@pytest.mark.parametrize(
    ("reader", "options"),
    [
        ("passthrough", {"size": ["2"], "on": ["on"], "many": ["a", "b"]}),
        ("simple", {"size": "2", "on": True, "many": ["a", "b"]}),
        (lambda form: {"n": int(form["size"][0])}, {"n": 2}),
        (lambda form, spawner: {"who": spawner.user.name}, {"who": "ada"}),
        (lambda form: asyncio.sleep(0, {"later": 1}), {"later": 1}),
        (lambda form: None, None),
    ],
    ids=["passthrough", "simple", "callable", "callable with the spawner", "async", "nothing"],
)
@pytest.mark.parametrize("kind", ["posted", "query"])
async def test_options_come_of_what_was_typed(answer, reader, options, kind):
    fields = {"size": ["2"], "on": ["on"], "many": ["a", "b"]}
    found = await answer(kind, {"options_from_form": reader}, fields=fields)
    assert found == FormAnswered(options=options)


async def test_a_query_may_be_read_in_a_way_of_its_own(answer):
    class Querying(Spawner):
        def options_from_query(self, query):
            return {"by": "query", **query}

    assert (await answer("query", spawner=Querying, fields={"a": ["1"]})).options == {"by": "query", "a": ["1"]}
    assert (await answer("posted", spawner=Querying, fields={"a": ["1"]})).options == {"a": ["1"]}


async def test_files_are_bytes_to_the_operator_and_tagged_on_their_way_back(answer):
    files = {"notes": [File(filename="n.txt", content_type="text/plain", body=b"\xffhi")]}

    def read(form):
        [file] = form["notes_file"]
        assert file.filename == "n.txt"
        return {"notes": file.body, "name": file["filename"]}

    found = await answer("posted", {"options_from_form": read}, files=files)
    tag = {"__jupyterhub_bytes__": True, "data": base64.b64encode(b"\xffhi").decode()}
    assert found.options == {"notes": tag, "name": "n.txt"}
    [kept] = (await answer("posted", files=files)).options["notes_file"]
    assert kept == {"filename": "n.txt", "content_type": "text/plain", "body": tag}


def refuse(form):
    raise ValueError(f"{form['size'][0]} is too large")


def refuse_by_policy(form):
    raise SpawnException("not on Sundays", reason="policy", message_html="not on <b>Sundays</b>", status_code=403)


@pytest.mark.parametrize(
    ("reader", "status", "message", "html"),
    [
        (refuse, 400, "9 is too large", ""),
        (refuse_by_policy, 403, "not on Sundays", "not on <b>Sundays</b>"),
        (lambda form: [1], 400, "TypeError: the options of a server are a dict, not a list", ""),
    ],
    ids=["an error", "a SpawnException", "no dict"],
)
async def test_a_refusal_is_in_the_operators_words_and_brings_the_form_again(answer, reader, status, message, html):
    options = {"options_from_form": reader, "options_form": "the form"}
    found = await answer("posted", options, fields={"size": ["9"]})
    refused = found.refused
    assert (refused.status, refused.html, found.html, found.options) == (status, html, "the form", None)
    assert message in refused.message


async def test_what_a_spawner_remembers_of_a_refused_form_is_in_the_one_that_it_shows_again(answer):
    class Remembering(Spawner):
        typed = ""

        def run_options_from_form(self, form_data):
            self.typed = form_data["size"][0]
            raise ValueError("no")

        async def get_options_form(self):
            return f"<input value='{self.typed}'>"

    assert (await answer("posted", spawner=Remembering, fields={"size": ["9"]})).html == "<input value='9'>"


async def test_a_form_that_fails_is_the_operators_mistake(answer):
    found = await answer("form", {"options_form": lambda spawner: spawner.nothing})
    assert found.refused.status == 500
    assert found.refused.message.startswith("AttributeError: ")


async def test_operators_code_that_wants_to_end_the_process_ends_itself_alone(answer):
    found = await answer("posted", {"options_from_form": lambda form: sys.exit(3)})
    assert (found.refused.status, "SystemExit" in found.refused.message) == (400, True)


async def test_a_form_that_takes_for_ever_is_given_up(answer):
    found = await answer("form", {"options_form": lambda spawner: asyncio.sleep(60)}, patience=0.05)
    assert (found.refused.status, "within 0.05 seconds" in found.refused.message) == (504, True)


async def test_a_form_that_blocks_delays_nobody(answer):
    entered, release = threading.Event(), threading.Event()

    def blocking(spawner):
        entered.set()
        return str(release.wait(20))

    asking = asyncio.create_task(answer("form", {"options_form": blocking}, patience=30))
    await asyncio.to_thread(entered.wait, 20)  # which nothing could come back from, did it block us
    release.set()
    assert (await asking).html == "True"


# On the bus -----------------------------------------------------------------------------------


@pytest.fixture
async def ask(nats, connection, api, floor):
    """ask(FormAsked, maker, key): what the worker says at once, and what it has sent after."""

    async def do(asked, maker, *, key=None):
        async with bus.connect(nats.url(f"pool-{api.pool}"), "w1") as worker:
            sealer = Fernet(key or api.key)
            await Forms(worker, maker, sealer, pool=api.pool).listen()
            await worker.arrived()
            inbox = connection.client.new_inbox()
            answers = await connection.client.subscribe(inbox)
            sealed = Fernet(api.key).encrypt(msgspec.json.encode(asked)).decode()
            done = await connection.ask(f"hub.form.{api.pool}", FormAsk(sealed=sealed, inbox=inbox), Done)
            if done.refused:
                return done.refused
            message = await answers.next_msg(timeout=20)
            return msgspec.json.decode(
                Fernet(api.key).decrypt(msgspec.json.decode(message.data, type=FormAnswer).sealed), type=FormAnswered
            )

    return do


async def test_a_worker_of_the_pool_answers(ask, floor):
    asked = FormAsked(kind="form", person=ADA, name="", request=REQUEST)
    assert await ask(asked, Maker(floor, options_form="x")) == FormAnswered(html="x", lasting=True)


async def test_what_no_message_can_hold_is_refused(ask, floor):
    asked = FormAsked(kind="form", person=ADA, name="", request=REQUEST)
    found = await ask(asked, Maker(floor, options_form="x" * 300_000))
    assert (found.refused.status, "The form of this server" in found.refused.message) == (413, True)
    asked = FormAsked(kind="posted", person=ADA, name="", request=REQUEST)
    found = await ask(asked, Maker(floor, options_from_form=lambda form: {"x": "x" * 300_000}))
    assert (found.refused.status, "The options of this server" in found.refused.message) == (413, True)


async def test_what_another_key_has_sealed_is_not_read(ask, floor):
    asked = FormAsked(kind="form", person=ADA, name="", request=REQUEST)
    found = await ask(asked, Maker(floor), key=Fernet.generate_key())
    assert "HUBBUB_BUS_KEY" in found.message
