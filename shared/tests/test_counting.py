"""What a process counts, and adds to the sums of the house: all of it once, whatever happens on the way."""

import asyncio

import asyncpg
import pytest

from hubbub import telling
from hubbub.counting import ALL, CSP_REPORTS, LOGINS, LOGOUTS, POLLS, Counts, Part, Sum, usable
from hubbub.telling import About, Teller, add, told
from hubbub.testing.eventually import eventually
from hubbub.vitals import Vitals, vitals


@pytest.fixture
async def pool(database):
    async with asyncpg.create_pool(database.api_dsn, min_size=0, max_size=4) as made:
        yield made


@pytest.fixture
async def auths_pool(database):
    async with asyncpg.create_pool(database.auth_dsn, min_size=0, max_size=4) as made:
        yield made


def teller(pool, counts: Counts, service: str = "api", process: str = "api-1") -> Teller:
    return Teller(pool, counts, service=service, process=process)


async def sums(pool) -> dict[tuple[str, str], tuple[int, float]]:
    rows = await pool.fetch("select name, labels, counts, seconds from tallies")
    return {(row["name"], row["labels"]): (sum(row["counts"]), row["seconds"]) for row in rows}


# In memory ----------------------------------------------------------------------------


def test_what_took_as_long_as_a_bound_is_below_it():
    counts = Counts()
    for seconds in (0, 0.005, 0.0051, 10, 11):
        counts.note(LOGOUTS, (), seconds)
    [found] = counts.part().sums
    assert found.counts == (2, 1, *[0] * 11, 1, 1)
    assert found.seconds == pytest.approx(21.0101)
    assert len(found.counts) == LOGOUTS.length


def test_a_part_is_the_same_until_it_was_added():
    counts = Counts()
    counts.add(CSP_REPORTS)
    part = counts.part()
    counts.add(CSP_REPORTS, number=5)
    assert counts.part() == part
    counts.told(part)
    following = counts.part()
    assert (following.run, following.number, following.sums[0].counts) == (part.run, part.number + 1, (5,))
    counts.told(part)  # late
    assert counts.part() == following


def test_what_fails_has_taken_its_time_too():
    counts = Counts()
    with pytest.raises(KeyError), counts.timed(LOGINS, ("failure",)):
        raise KeyError
    assert [each.labels for each in counts.part().sums] == [("failure",)]


def test_others_are_believed_what_makes_sense():
    good = Sum(name=POLLS.name, labels=("running",), counts=(1,) * POLLS.length, seconds=1.0)
    others = (
        Sum(name=LOGINS.name, labels=("success",), counts=(1,) * LOGINS.length),
        Sum(name=POLLS.name, labels=(), counts=(1,) * POLLS.length),
        Sum(name=POLLS.name, labels=("running",), counts=(1,)),
        Sum(name=POLLS.name, labels=("running",), counts=(-1, *[1] * (POLLS.length - 1))),
        Sum(name=POLLS.name, labels=("running",), counts=(2**70, *[1] * (POLLS.length - 1))),
        Sum(name=POLLS.name, labels=("running",), counts=(1,) * POLLS.length, seconds=-1.0),
    )
    assert usable(Part(run="r", number=1, sums=(good, *others)), (POLLS,)).sums == (good,)


def test_names_are_of_one_measure_each():
    assert len({measure.name for measure in ALL}) == len(ALL)
    for measure in ALL:
        assert measure.bounds == tuple(sorted(set(measure.bounds)))
        assert all(len(labels) == len(measure.labels) for labels in measure.there)
        assert bool(measure.bounds) != measure.name.endswith("_total")


# In the database ----------------------------------------------------------------------


async def test_all_processes_add_up_those_that_have_ended_too(pool, auths_pool):
    for process, service, through in (("api-1", "api", pool), ("api-2", "api", pool), ("a", "auth", auths_pool)):
        counts = Counts()
        one = teller(through, counts, service, process)
        for _ in range(3):
            counts.note(LOGINS, ("success",), 0.5)
            await one.tell()
    assert await sums(pool) == {("login_duration_seconds", '["success"]'): (9, 4.5)}


async def test_a_part_counts_once_however_often_it_is_told(pool):
    counts = Counts()
    counts.note(LOGINS, ("success",), 1)
    part = counts.part()
    await asyncio.gather(*(add(pool, part, "api", "api-1") for _ in range(4)))
    counts.note(LOGINS, ("success",), 1)
    counts.note(LOGINS, ("failure",), 1)
    await teller(pool, counts).tell()  # it never heard that the first part was added
    assert await sums(pool) == {
        ("login_duration_seconds", '["success"]'): (2, 2.0),
        ("login_duration_seconds", '["failure"]'): (1, 1.0),
    }


async def test_tellers_do_not_stand_in_each_others_way(pool):
    async def tell(number: int) -> None:
        counts = Counts()
        one = teller(pool, counts, process=f"api-{number}")
        for turn in range(20):
            for status in ("success", "failure") if (turn + number) % 2 else ("failure", "success"):
                counts.note(LOGINS, (status,), 0.1)
            await one.tell()

    await asyncio.gather(*(tell(number) for number in range(4)))
    assert {count for count, _ in (await sums(pool)).values()} == {80}


async def test_what_another_release_has_counted_more_finely_is_kept_beside_ours(pool):
    name = LOGOUTS.name
    await add(pool, Part(run="a", number=1, sums=(Sum(name=name, labels=(), counts=(1, 2, 3)),)), "api", "x")
    await add(pool, Part(run="b", number=1, sums=(Sum(name=name, labels=(), counts=(1,)),)), "api", "x")
    [row] = await pool.fetch("select counts from tallies")
    assert row["counts"] == [2, 2, 3]


async def test_a_process_says_of_itself_how_it_is_and_its_last_words_when_it_ends(pool, monkeypatch):
    monkeypatch.setattr(telling, "EVERY", 0.01)
    monkeypatch.setattr(telling, "LAST_WORDS", 5.0)
    counts = Counts()
    running = asyncio.create_task(Teller(pool, counts, service="api", process="api-1", bus=lambda: False).run())

    async def said() -> About | None:
        row = await pool.fetchrow("select about, number from tellers where process = 'api-1'")
        return told(row["about"]) if row and row["number"] > 2 else None

    about = await eventually(said)
    assert about.bus is False and about.vitals.memory > 1e6 and about.connections >= about.idle > 0
    counts.add(CSP_REPORTS)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert (await sums(pool))["csp_reports_total", "[]"] == (1, 0)
    assert ("hubbub_postgres_wait_seconds", "[]") in await sums(pool)


async def test_a_database_that_is_away_costs_nothing_that_was_counted(pool, monkeypatch):
    monkeypatch.setattr(telling, "EVERY", 0.01)
    counts = Counts()
    one = teller(pool, counts)
    tries = []

    async def away(*_: object) -> None:
        tries.append(1)
        raise asyncpg.CannotConnectNowError("starting up")

    monkeypatch.setattr(telling, "add", away)
    counts.add(CSP_REPORTS)
    running = asyncio.create_task(one.run())
    await eventually(lambda: len(tries) > 2)
    counts.add(CSP_REPORTS)
    monkeypatch.setattr(telling, "add", add)

    async def added() -> bool:
        return (await sums(pool)).get(("csp_reports_total", "[]")) == (2, 0)

    await eventually(added)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_who_told_something_long_ago_is_forgotten(pool):
    await add(pool, Part(run="old", number=1), "api", "x")
    await pool.execute("update tellers set at = now() - interval '8 days'")
    await teller(pool, Counts())._try_a_connection()
    assert not await pool.fetch("select from tellers")


@pytest.mark.parametrize("text", ["", "nonsense", '{"vitals": 1}'])
def test_what_another_release_says_of_itself_may_not_be_readable(text):
    assert told(text) is None


def test_vitals_are_of_this_process():
    found = vitals()
    assert found.virtual > found.memory > 1e6 and found.most_files >= found.files > 2
    assert found.cpu > 0 and found.began > 1e9 and found != Vitals()
