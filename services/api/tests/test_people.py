"""The table of people finds, orders and cuts the same whether few match or many, and every page has its neighbours."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from hubbub.domain.group import CreateGroup
from hubbub.domain.member import AddMember, member_id
from hubbub.domain.message import Invalid
from hubbub.domain.server_messages import (
    ClaimAttempt,
    Failure,
    ReportExit,
    ReportFailed,
    ReportResponded,
    ReportStarted,
    StartServer,
    StopServer,
)
from hubbub.eventlog import Context
from hubbub.views import GROUPS, MEMBERS
from hubbub_api import people, people_wanted
from hubbub_api.people import SORTS, Place
from hubbub_api.people_wanted import STATES, Wanted

BY_TEST = Context.of("test")
NOW = datetime.now(UTC)
LATER = NOW + timedelta(hours=1)
START = StartServer(at=NOW, pool="default", prefix="/user/x/", deadline=LATER)
CLAIM = ClaimAttempt(attempt=1, worker="w", host="h", token="t", deadline=LATER)
STARTED = ReportStarted(attempt=1, worker="w", url="http://127.0.0.1:1", deadline=LATER)
RESPONDED = ReportResponded(attempt=1, worker="w", deadline=LATER, version="6.1.1")
BROKEN = ReportFailed(attempt=1, worker="w", failure=Failure(reason="exit", message="no"), deadline=LATER)
GONE = ReportExit(attempt=1, worker="w", status="1", deadline=LATER)
RUNNING = (START, CLAIM, STARTED, RESPONDED)

#: What `populate` makes: in each state of the filter, by name.
IN_STATE = {
    "active": {"ann", "bob", "Eve"},
    "ready": {"ann"},
    "pending": {"bob", "Eve"},
    "stopped": {"cy", "dan", "fay", "gus", "hal", "ida", "joe"},
    "failed": {"cy", "dan"},
    "named": {"Eve", "fay"},
}
EVERYBODY = IN_STATE["active"] | IN_STATE["stopped"]
#: In the order of their creation, and when they were active last (minutes ago).
CREATED = ["joe", "ann", "Eve", "cy", "dan", "bob", "hal", "gus", "fay", "ida"]
ACTIVE = {"fay": 1, "ann": 5, "joe": 9, "cy": 30}


async def populate(house):
    for name in CREATED:
        await house.person(name)
    await house.route(await house.server("ann", "", *RUNNING))
    await house.server("bob", "", START)
    await house.server("Eve", "lab", *RUNNING)  # which no proxy has
    await house.server("cy", "", START, CLAIM, BROKEN, GONE)
    await house.server("dan", "", *RUNNING, GONE)
    await house.server("fay", "lab")
    await house.server("gus", "", START, StopServer(deadline=LATER))  # called off: nothing has failed
    for name, minutes in ACTIVE.items():
        user = await house.views.user(name)
        await house.pool.execute(
            "insert into activity values ($1, $2)", f"user:{user.id}", NOW - timedelta(minutes=minutes)
        )


async def names(house, slice):
    return [person.name for person in await people_wanted.people(house.views, slice.ids)]


async def walk(house, wanted, limit):
    """All pages forwards, with the checks that hold of each."""
    place, pages, start = Place(), [], 0
    while place is not None:
        page = await people.page(house.views, wanted, place, limit)
        assert page.start == start
        assert (page.previous is None) == (not pages)
        pages.append(page)
        start += len(page.ids)
        place = page.following
    return pages


@pytest.fixture(params=["few", "many"])
def how(request, monkeypatch):
    """Whether all that match are put in order at once, or read along an index."""
    monkeypatch.setattr(people, "FEW", 2000 if request.param == "few" else 0)


@pytest.mark.usefixtures("how")
async def test_every_order_of_every_state_comes_in_whole_pages_both_ways(house):
    await populate(house)
    for state in ("", *STATES):
        for sort in SORTS:
            wanted = Wanted(state=state, sort=sort)
            pages = await walk(house, wanted, 3)
            forwards = [name for page in pages for name in await names(house, page)]
            assert set(forwards) == (IN_STATE[state] if state else EVERYBODY), (state, sort)
            assert len(forwards) == len(set(forwards)) == pages[0].total
            for before, after in pairwise(pages):
                assert (await people.page(house.views, wanted, after.previous, 3)).ids == before.ids, (state, sort)
            last = await people.page(house.views, wanted, Place(last=True), 3)
            assert (last.ids, last.start, last.following) == (pages[-1].ids, pages[-1].start, None), (state, sort)
            opposite = Wanted(state=state, sort=sort.removeprefix("-") if sort.startswith("-") else f"-{sort}")
            backwards = [name for page in await walk(house, opposite, 4) for name in await names(house, page)]
            assert backwards == forwards[::-1], (state, sort)


@pytest.mark.usefixtures("how")
@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("created", CREATED),
        ("-last_activity", ["fay", "ann", "joe", "cy", *[name for name in CREATED[::-1] if name not in ACTIVE]]),
        ("state", ["bob", "ann", "Eve", "cy", "dan", "fay", "gus", "hal", "ida", "joe"]),
    ],
)
async def test_people_come_in_the_order_that_is_asked_for(house, sort, expected):
    await populate(house)
    # Where capitals belong is the database's business.
    found = await names(house, await people.page(house.views, Wanted(sort=sort), Place(), 50))
    assert [name for name in found if name != "Eve"] == [name for name in expected if name != "Eve"]


@pytest.mark.usefixtures("how")
async def test_a_search_takes_its_words_literally_whatever_the_case(house):
    for name in ("a_b", "axb", "Ada", "100%"):
        await house.person(name)

    async def found(search):
        return await names(house, await people.page(house.views, Wanted(search=search), Place(), 50))

    assert await found("A_B") == ["a_b"]
    assert await found("%") == ["100%"]
    assert await found("ada") == ["Ada"]
    assert await found("\\") == []


@pytest.mark.usefixtures("how")
async def test_a_page_is_found_again_when_those_before_it_are_gone(house):
    await populate(house)
    first = await people.page(house.views, Wanted(), Place(), 4)
    following = await people.page(house.views, Wanted(), first.following, 4)
    await house.pool.execute("delete from users where id = any($1)", [following.ids[0], first.ids[-1]])
    if first.following.after:
        assert (await people.page(house.views, Wanted(), first.following, 4)).ids[:3] == following.ids[1:]
    beyond = await people.page(house.views, Wanted(state="active"), Place(start=400), 4)
    assert len(beyond.ids) == 3


@pytest.mark.parametrize(
    "key", ["x", "W10", "WzAsIDFd", "WzksICJhIl0", "WzAsICJhIiwgImIiXQ", "WzAsICJhXHUwMDAwIl0", "é"]
)
async def test_what_no_page_has_said_is_no_place(house, key):
    await house.person("ada")
    with pytest.raises(Invalid):
        await people.page(house.views, Wanted(), Place(after=key), 4)
    with pytest.raises(Invalid):
        await people.page(house.views, Wanted(sort="created"), Place(after=key), 4)


@pytest.mark.usefixtures("how")
async def test_who_may_list_some_finds_these_alone(house):
    await populate(house)
    await house.committer.execute(GROUPS, "g", CreateGroup(name="staff"), BY_TEST.follow())
    user = await house.views.user("hal")
    join = AddMember(group="g", user=user.id)
    await house.committer.execute(MEMBERS, member_id("g", user.id), join, BY_TEST.follow())
    some = {"names": ["ann", "cy", "nobody"], "groups": ["staff"]}
    assert await names(house, await people.page(house.views, Wanted(**some), Place(), 50)) == ["ann", "cy", "hal"]
    failed = await people.page(house.views, Wanted(state="failed", **some), Place(), 50)
    assert (await names(house, failed), failed.total) == (["cy"], 1)
    assert await people_wanted.everybody(house.views, Wanted(search="n", **some)) == [("ann", [""])]


async def test_everybody_is_told_with_what_runs(house):
    await populate(house)
    found = dict(await people_wanted.everybody(house.views, Wanted()))
    assert {name: active for name, active in found.items() if active} == {"ann": [""], "bob": [""], "Eve": ["lab"]}
    assert found.keys() == EVERYBODY
