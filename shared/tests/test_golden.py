"""Old events decode for ever: the corpus of what was once written, and what decoding does with nonsense."""

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.fernet import Fernet

from hubbub import upcast
from hubbub.domain.message import Json, Unknown
from hubbub.domain.user import UserCreated
from hubbub.eventlog import Recorded, decode, encode, people_in
from hubbub.vault import FORGOTTEN, Vault
from hubbub.views import VIEWS

CORPUS = json.loads((Path(__file__).parent / "golden" / "events.json").read_text())
EVENTS: list[Json] = CORPUS["events"]

#: What stood in the corpus when version 1 was frozen, and the hash of it.
FROZEN = 47
DIGEST = "59cda69c4ef26f84ded1257bd1195f8e10dae80925172dfec7fb1226c532585a"

CREATED = next(each for each in EVENTS if each["type"] == "UserCreated")
[ADA] = CORPUS["people"]


def record(kind: str, type: str, data: str, schema_version: int = 1) -> Recorded:
    return Recorded(
        position=1, stream=f"{kind}-x1", version=1, type=type, data=data, meta="{}", command_id="c",
        recorded_at=datetime(2026, 1, 1, tzinfo=UTC), schema_version=schema_version,
    )  # fmt: skip


def golden(each: Json, **changes: Any) -> Recorded:
    """A record of the corpus, with fields of its data changed; a value of ... removes the field."""
    fields = {name: value for name, value in {**json.loads(each["data"]), **changes}.items() if value is not ...}
    return record(each["kind"], each["type"], json.dumps(fields) if changes else each["data"], each["schema_version"])


@pytest.fixture
async def vault() -> Vault:
    """One that has the keys of the people in the corpus."""

    class Keys:
        async def fetch(self, query: str, people: list[str]) -> list[dict[str, Any]]:
            return [{"person": person, "key": CORPUS["people"][person].encode()} for person in people]

    opened = Vault(CORPUS["house_key"])
    await opened.load(Keys(), CORPUS["people"])
    return opened


def test_nothing_in_the_corpus_was_ever_changed() -> None:
    stored = [(each["kind"], each["type"], each["schema_version"], each["data"]) for each in EVENTS[:FROZEN]]
    assert hashlib.sha256(json.dumps(stored).encode()).hexdigest() == DIGEST


@pytest.mark.parametrize("each", EVENTS, ids=[f"{n}-{each['type']}" for n, each in enumerate(EVENTS)])
def test_what_was_once_written_is_still_read(each: Json, vault: Vault) -> None:
    """Fields that were added since have their defaults."""
    event = decode(golden(each), vault)
    assert type(event).__name__ == each["type"]
    assert as_far_as(each["reads_as"], json.loads(msgspec.json.encode(event))) == each["reads_as"]


def as_far_as(known: Any, found: Any) -> Any:
    """What there is in *found* of the names in *known*, at every depth."""
    if not isinstance(known, dict) or not isinstance(found, dict):
        return found
    return {name: as_far_as(known[name], found[name]) for name in known if name in found}


def test_every_event_has_a_place_in_the_corpus() -> None:
    """In the version that is written now, that is: a new one comes with a new record."""
    written = {
        (name, event.__name__, upcast.newest(event.__name__))
        for name, view in VIEWS.items()
        for event in view.decider.events.__args__
    }
    assert written <= {(each["kind"], each["type"], each["schema_version"]) for each in EVENTS}


def test_personal_fields_are_sealed_in_it() -> None:
    for each in EVENTS:
        event: Any = next(e for e in VIEWS[each["kind"]].decider.events.__args__ if e.__name__ == each["type"])
        if each["reads_as"].get("user"):
            for name in event.personal:
                assert json.loads(each["data"]).get(name, "gAAAA").startswith("gAAAA")


def test_of_somebody_whose_key_is_gone_nothing_personal_is_read() -> None:
    event = decode(golden(CREATED), Vault(CORPUS["house_key"]))
    assert event == UserCreated(user=ADA, name=FORGOTTEN, admin=True)


def unreadable() -> Iterator[tuple[str, Recorded]]:
    yield "a kind of stream of a later release", record("planet", "PlanetFound", "{}")
    yield "a type of a later release", record("user", "UserPromoted", '{"type":"UserPromoted"}')
    yield "a type of another kind", record("user", "ServerDeleted", '{"type":"ServerDeleted"}')
    yield "a version of a later release", record("user", "UserDeleted", '{"type":"UserDeleted"}', 2)
    yield "a version that never was", record("user", "UserDeleted", '{"type":"UserDeleted"}', 0)
    yield "two types at once", record("user", "UserDeleted", CREATED["data"])
    yield "no type", golden(CREATED, type=...)
    for name in ("user", "name", "admin"):
        yield f"no {name}", golden(CREATED, **{name: ...})
        yield f"a wrong {name}", golden(CREATED, **{name: [1]})
    yield "a name that is not sealed", golden(CREATED, name="ada")
    yield "a name sealed by somebody else", golden(CREATED, name=Fernet(Fernet.generate_key()).encrypt(b"x").decode())
    for nonsense in ("", "nonsense", "null", "[]", "{", '"x"', "12", '{"type":"UserCreated"', "[" * 100_000, "{}\x00"):
        yield f"data of {nonsense[:8]!r}", record("user", "UserCreated", nonsense)
    yield "a stream without a name", record("", "UserCreated", CREATED["data"])


NONSENSE = dict(unreadable())


@pytest.mark.parametrize("found", NONSENSE.values(), ids=NONSENSE)
def test_what_cannot_be_read_is_unknown(found: Recorded, vault: Vault) -> None:
    """Decoding is total: it raises nothing, and nothing is lost."""
    people_in([found])
    assert decode(found, vault) == Unknown(name=found.type, data=found.data)


def test_a_field_that_a_later_release_added_is_passed_over(vault: Vault) -> None:
    assert decode(golden(CREATED, shoe_size=39), vault) == decode(golden(CREATED), vault)


@pytest.fixture
def two_versions_ago(monkeypatch: pytest.MonkeyPatch) -> Recorded:
    """UserCreated as it might have been: version 1 had `title`, version 2 had `role`."""

    def roles_have_names(fields: Json) -> Json:
        return {**fields, "role": "admin" if fields.pop("title") == "boss" else "user"}

    def roles_are_flags(fields: Json) -> Json:
        return {**fields, "admin": fields.pop("role") == "admin"}

    monkeypatch.setitem(upcast.UPCASTERS, ("UserCreated", 1), roles_have_names)
    monkeypatch.setitem(upcast.UPCASTERS, ("UserCreated", 2), roles_are_flags)
    return golden(CREATED, admin=..., title="boss")


def test_an_old_event_is_made_new_step_by_step(two_versions_ago: Recorded, vault: Vault) -> None:
    assert people_in([two_versions_ago]) == {ADA}
    assert decode(two_versions_ago, vault) == UserCreated(user=ADA, name="ada", admin=True)
    last = golden({**CREATED, "schema_version": 2}, admin=..., role="user")
    assert decode(last, vault) == UserCreated(user=ADA, name="ada", admin=False)


def test_a_new_event_is_written_in_the_newest_version(two_versions_ago: Recorded, vault: Vault) -> None:
    assert upcast.newest("UserCreated") == 3
    assert upcast.newest("UserDeleted") == 1
    event = UserCreated(user=ADA, name="bob", admin=False)
    assert decode(record("user", "UserCreated", encode(event, vault), 3), vault) == event


@pytest.mark.parametrize("title", [..., [1]])
def test_an_old_event_of_nonsense_is_unknown(two_versions_ago: Recorded, vault: Vault, title: Any) -> None:
    found = golden(CREATED, admin=..., title=title, name="not sealed")
    assert isinstance(decode(found, vault), Unknown)
    assert isinstance(decode(record("user", "UserCreated", "[]"), vault), Unknown)
    assert isinstance(decode(record("user", "UserCreated", CREATED["data"], 4), vault), Unknown)
