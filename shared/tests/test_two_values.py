"""While a secret changes there are two of it: the first is used, both are good."""

import asyncpg
import pytest
from tornado.web import create_signed_value
from traitlets.config import Config

from hubbub import database as databases
from hubbub.config import Options
from hubbub.settings import Settings
from hubbub.testing.postgres import Database
from hubbub.web import cookie_secret, xsrf
from hubbub.web.cookies import opened

OLD, NEW = "aa" * 32, "bb" * 32


async def test_the_second_url_is_tried_when_the_password_of_the_first_is_refused(database: Database) -> None:
    right = database.api_dsn
    scheme, _, rest = right.partition("://")
    user, _, place = rest.partition("@")
    wrong = f"{scheme}://{user.partition(':')[0]}:wrong@{place}"
    for dsn in (right, f"{wrong} {right}", f"{right} {wrong}"):
        connection = await databases.connect(dsn)
        assert await connection.fetchval("select current_user") == "hubbub_api"
        await connection.close()
    with pytest.raises(asyncpg.InvalidPasswordError):
        await databases.connect(f"{wrong} {wrong}")
    async with asyncpg.create_pool(f"{wrong} {right}", min_size=1, max_size=1, connect=databases.connect) as pool:
        assert await pool.fetchval("select 1") == 1


def test_cookies_of_both_secrets_are_read_and_the_first_signs() -> None:
    both = cookie_secret.read(f"{NEW};{OLD}")
    assert bytes(both) == bytes.fromhex(NEW)
    for secret in (OLD, NEW):
        value = create_signed_value(bytes.fromhex(secret), "c", "what").decode()
        assert opened(both, "c", value, max_age_days=1) == "what"
        assert xsrf.valid(both, xsrf.make(bytes.fromhex(secret), b"me"), b"me")
    assert (
        opened(cookie_secret.read(NEW), "c", create_signed_value(bytes.fromhex(OLD), "c", "x").decode(), max_age_days=1)
        is None
    )
    assert xsrf.valid(cookie_secret.read(NEW), xsrf.make(both, b"me"), b"me")
    assert not xsrf.valid(both, xsrf.make(bytes.fromhex("cc" * 32), b"me"), b"me")


@pytest.mark.parametrize("text", ["", "xx", "aa" * 31, f"{NEW};aa"])
def test_what_is_no_cookie_secret_is_refused(text: str) -> None:
    with pytest.raises(cookie_secret.BadSecret):
        cookie_secret.read(text)


@pytest.mark.parametrize("theirs", ["old", "new", "old;new", "new;old"])
def test_a_worker_with_either_key_is_compared_by_it(theirs: str) -> None:
    traits = Config({"JupyterHub": {"allow_named_servers": True}})
    api = Options(traits, Settings(instance="a", bus_key="old;new"))
    assert api.differences(Options(traits, Settings(instance="w", bus_key=theirs)).hashes) == []
    other = Options(Config({"JupyterHub": {"allow_named_servers": False}}), Settings(instance="w", bus_key=theirs))
    assert api.differences(other.hashes) == ["c.JupyterHub.allow_named_servers"]
    assert api.differences({}) == []
