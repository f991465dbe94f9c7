"""Authenticators that keep tables of their own, and look up people in JupyterHub's, as they do it there."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from classic_author import Note, Tabled
from jupyterhub import orm
from sqlalchemy import inspect
from sqlalchemy.exc import DBAPIError

from hubbub.testing.postgres import Database
from hubbub_auth.classic.tables import Tables
from hubbub_auth.testing import House

CONFIG = {"JupyterHub": {"authenticator_class": Tabled}, "Authenticator": {"allow_all": True}}


@pytest.fixture
def tables(database: Database):
    made = Tables(database.auth_dsn)
    yield made
    made.close()


async def notes(browser):
    return (await browser.get("/hub/notes")).json["notes"]


async def test_a_table_of_its_own_on_two_auths(house: House):
    browsers = [await house.browser(await house.auth(CONFIG), address=f"203.0.113.{n}") for n in (1, 2)]
    for browser in browsers:
        assert (await browser.log_in("ada", "right")).status == 302
    assert [await notes(browser) for browser in browsers] == [["ada is new", "ada is known"]] * 2
    owner = await house.pool()
    assert (
        await owner.fetchval("select schemaname from pg_tables where tablename = $1", Note.__tablename__) == "plugins"
    )


@pytest.mark.parametrize(("then", "kept"), [("fail", []), ("forget", []), ("commit", ["x"])])
async def test_what_a_request_has_not_committed_is_nothing(house: House, then, kept):
    browser = await house.browser(config=CONFIG)
    answer = await browser.post("/hub/notes", {"text": "x", "then": then})
    assert answer.status == (500 if then == "fail" else 200)
    assert await notes(browser) == kept


async def test_nobody_keeps_the_database_waiting(house: House):
    """A session that is not ended would hold its transaction open."""
    browser = await house.browser(config=CONFIG)
    await browser.log_in("ada", "wrong")
    await notes(browser)
    states = "select count(*) from pg_stat_activity where application_name = $1 and state like '%in transaction%'"
    assert await (await house.pool()).fetchval(states, "hubbub-authenticator") == 0


def test_tables_that_all_make_at_once_are_made_once(database: Database):
    ready = threading.Barrier(4)

    def make() -> None:
        tables = Tables(database.auth_dsn)
        with tables.scope():
            assert Note.__tablename__ not in inspect(tables.bind).get_table_names()
            ready.wait(10)
            Note.__table__.create(tables.bind)
            tables.add(Note(text="x"))
            tables.commit()
        tables.close()

    with ThreadPoolExecutor(4) as threads:
        for making in [threads.submit(make) for _ in range(4)]:
            making.result()
    tables = Tables(database.auth_dsn)
    with tables.scope():
        assert tables.query(Note).count() == 4
    tables.close()


async def test_people_as_jupyterhubs_table_has_them(house: House, tables: Tables):
    browser = await house.browser()
    await browser.log_in("ada")
    owner = await house.pool()
    number = await owner.fetchval("select number from users")
    with tables.scope():
        ada = orm.User.find(tables, "ada")
        assert (ada.id, ada.name, ada.admin, ada.groups, ada.roles) == (number, "ada", False, [], [])
        assert (ada.created.tzinfo, ada.orm_spawners, ada.all_shared_with_me) == (None, {}, [])
        assert orm.User.find(tables, "eve") is None
        tables.add(orm.User(name="eve"))
        with pytest.raises(DBAPIError):  # nobody is made past the hub
            tables.commit()
        tables.rollback()
    assert await owner.fetchval("select count(*) from users") == 1


def test_each_scope_has_a_session_of_its_own(tables: Tables):
    assert list(tables.dirty) == []  # and that has not connected
    with tables.scope():
        Note.__table__.create(tables.bind)
        tables.add(Note(text="of one"))
        assert len(tables.new) == 1
        with tables.scope():
            assert len(tables.new) == 0
        assert [note.text for note in tables.new] == ["of one"]
        assert next(iter(tables)) in tables


async def test_a_task_without_a_request_has_one_until_it_ends(tables: Tables):
    async def ask():
        first = tables.connection()
        await asyncio.sleep(0)
        assert tables.connection() is first
        return first

    one, other = await asyncio.gather(asyncio.create_task(ask()), asyncio.create_task(ask()))
    assert one is not other
    await asyncio.sleep(0)
    assert (one.closed, other.closed) == (True, True)
