"""`hubbub forget`: somebody does all that one can do here, is forgotten, and nothing that is kept has their name."""

from pathlib import Path

from yarl import URL

from browser import Browser
from checks import five_checks, rows
from leaks import files, tables
from stack import CONTAINERS, Hub, eventually, hub

CONFIG = Path(__file__).parent / "config_forgetting.py"
#: Nothing else is called anything like it. She calls herself otherwise for a while.
NAME, OTHER = "zxqvwitch", "zxqvwizard"
WORDS = b"zxqvw"
PASSWORD = "a-long-password-of-hers"
PATIENCE = 40

#: Where it may be (docs/forgetting.md): what is written as it happens, and rotated; what is not yet written over.
ROTATED = ("file log/auth-", "file log/spawner-worker-", "file log/proxy", "file log/postgres")
NOT_YET_WRITTEN_OVER = ("file postgres/pg_wal/", "file postgres/pgdata/pg_wal/")


async def test_nothing_that_is_kept_names_somebody_who_is_forgotten(tmp_path: Path) -> None:
    async with hub(tmp_path / "data", config=CONFIG, scale="api=2") as it:
        await it.user("ben")
        await live(it)
        before = await everywhere(it)
        assert {"table users", "table accounts", "history users", "history servers"} <= set(before)
        assert "table events" not in before  # names are sealed in it from the beginning
        [person] = await rows(it, f"select id, number from users where name = '{OTHER}'")

        status, said = await it.command("forget", OTHER)
        assert status == 1 and "--yes" in said
        status, said = await it.command("forget", OTHER, "--yes", "--rewrite")
        assert status == 0, said
        after = {place: words for place, words in (await everywhere(it)).items() if not place.startswith(ROTATED)}
        left = {place: words for place, words in after.items() if not place.startswith(NOT_YET_WRITTEN_OVER)}
        assert sorted(left) == [], left
        called = [str(path.relative_to(it.data)) for path in it.data.rglob("*") if WORDS.decode() in path.name.lower()]
        written = [] if CONTAINERS else [f"home/{NAME}"]
        assert called == written, "what she has written herself is the operator's to remove"

        # They have a number, by which they are found again; there is nothing to do any more.
        for called in (f"forgotten-{person['number']}", str(person["number"])):
            status, said = await it.command("forget", called, "--yes")
            assert status == 0, said
        status, said = await it.command("forget", OTHER, "--yes")
        assert status == 1 and "nobody called" in said
        _, used = await it.api("GET", "/usage")
        assert f"forgotten-{person['number']}" in [each["name"] for each in used["items"]]
        await five_checks(it)


async def live(it: Hub) -> None:
    """An account, logins that fail and that do not, servers, tokens, shares, a group, another name."""
    status, link = await it.command("password", NAME)
    assert status == 0, link
    async with Browser(it.url) as browser:
        status, page = await browser.get(link.strip().splitlines()[-1])
        assert status == 200
        status, page = await browser.send(page, {"new": PASSWORD, "again": PASSWORD})
        assert status == 200, page
        await browser.login(NAME, "not-her-password")
        status, page = await browser.login(NAME, PASSWORD)
        assert status == 200, page
        await start(it, "server", {"user_options": {"whose": NAME}})
        await visit(it, browser)
        for place in ("home", "token", "activity", f"spawn/{NAME}", f"spawn/{NAME}/lab"):
            await browser.get(f"/hub/{place}")
    await start(it, "servers/lab", {"user_options": {"profile": "large"}})
    key = {"Idempotency-Key": f"of-{NAME}"}
    asked = {"note": f"of {NAME}", "scopes": [f"read:users!user={NAME}", "access:servers!user"]}
    status, made = await it.api("POST", f"/users/{NAME}/tokens", asked, headers=key)
    assert status == 201, made
    assert (await it.api("GET", "/user", token=made["token"]))[1]["name"] == NAME
    for path, body in ((f"/shares/{NAME}/", {"user": "ben"}), (f"/share-codes/{NAME}/", {})):
        status, answer = await it.api("POST", path, body)
        assert status == 200, answer
    assert (await it.api("POST", "/groups/crew", {"users": [NAME]}))[0] == 201
    assert (await it.api("POST", f"/users/{NAME}/servers/no/such"))[0] == 404
    assert (await it.api("POST", f"/users/{NAME}/server", {"user_options": "nonsense"}))[0] == 400
    assert (await it.command("token", NAME))[0] == 0
    status, answer = await it.api("DELETE", f"/users/{NAME}/server")
    assert status in (202, 204), answer
    status, answer = await it.api("PATCH", f"/users/{NAME}", {"name": OTHER})
    assert status == 200, answer  # while a server of hers runs


async def start(it: Hub, place: str, body: dict[str, object]) -> None:
    status, answer = await it.api("POST", f"/users/{NAME}/{place}", body)
    assert status in (201, 202, 400), answer
    await eventually(lambda: it.is_ready(NAME, place.partition("/")[2]), PATIENCE, f"her {place} is ready")


async def visit(it: Hub, browser: Browser) -> None:
    """What her server does when she comes to it for the first time."""
    answer = await it.standin(NAME)
    assert answer is not None
    env = answer["env"]
    client, back = env["JUPYTERHUB_CLIENT_ID"], env["JUPYTERHUB_OAUTH_CALLBACK_URL"]
    asked = {"client_id": client, "redirect_uri": back, "response_type": "code", "state": "a-state-of-its-own"}
    async with browser.session.get(
        URL(f"{it.url}hub/api/oauth2/authorize").with_query(asked), allow_redirects=False
    ) as response:
        assert response.status == 302, await response.text()
        code = URL(response.headers["Location"]).query["code"]
    fields = {"client_id": client, "client_secret": env["JUPYTERHUB_API_TOKEN"], "redirect_uri": back}
    fields |= {"grant_type": "authorization_code", "code": code}
    async with it.session.post(f"{it.url}hub/api/oauth2/token", data=fields) as response:
        assert response.status == 200, await response.text()
        given = await response.json()
    assert f"access:servers!server={NAME}/" in given["scope"]
    _, she = await it.api("GET", "/user", token=given["access_token"])
    assert f"access:servers!server={NAME}/" in she["scopes"]


async def everywhere(it: Hub) -> dict[str, bytes]:
    """Where her name is, with what stands around it."""
    places = {**{f"table {name}": text for name, text in (await tables(it)).items()}, **files(it)}
    for row in await rows(it, "select table_name from information_schema.tables where table_schema = 'history'"):
        found = await rows(it, f"select t::text as text from history.{row['table_name']} t")
        places[f"history {row['table_name']}"] = "\n".join(each["text"] for each in found).encode()
    del places["table migrations"]
    found = {place: text.lower().find(WORDS) for place, text in places.items()}
    return {place: places[place][max(0, at - 200) : at + 60] for place, at in found.items() if at >= 0}
