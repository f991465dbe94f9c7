"""After a whole run, at the most talkative log level, no secret is anywhere but where it has to be."""

import asyncio
import hashlib
import json
from contextlib import AsyncExitStack
from pathlib import Path

from yarl import URL

from browser import Browser
from leaks import arguments, files, leaks, tables
from spans import collecting
from stack import HERE, TOKEN, Hub, eventually, hub
from wiretap import tapped

PASSWORD = "password-of-everyone"
WRONG = "not-the-password-at-all"
OPTION = "what-only-ada-should-know"
KEY = "the-idempotency-key-of-ada"
BROKEN = "in-a-body-that-cannot-be-read"
FORGED = "a-token-that-nobody-has-given-out"
WEBHOOK = "secret-of-the-webhook-audit"
CONFIG = HERE / "config_secrets.py"


async def test_no_secret_leaks(tmp_path: Path):
    async with AsyncExitStack() as stack:
        collector = await stack.enter_async_context(collecting())
        environ = {"TEST_LOG_LEVEL": "DEBUG", "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
        it = await stack.enter_async_context(hub(tmp_path / "data", config=CONFIG, environ=environ))
        async with tapped(it) as tape:
            used = await live(it)
        assert tape.about("hub.rpc.claim")
        assert tape.about("_INBOX_pool-default")
        kept = {
            f"{name} of secrets.json": value
            for name, value in json.loads((it.store / "secrets.json").read_text()).items()
        }
        secrets = {**used, **kept}
        assert all(len(value) > 10 for value in secrets.values()), secrets
        places = {
            "the bus": b"\n".join(tape.messages),
            **{f"table {name}": text for name, text in (await tables(it)).items()},
            **{f"arguments of {pid}": text for pid, text in arguments(it).items()},
            **files(it),
        }
        found = leaks(secrets, places)
        assert not found, "\n".join(found)
        # What is known to be there is found: the hash of the server's token.
        hashed = {"hash": hashlib.sha256(used["server's token"].encode()).hexdigest()}
        assert {sentence.split(" is in ")[1].partition(":")[0] for sentence in leaks(hashed, places)} >= {
            "the bus",
            "table events",
            "file nats/jetstream/$G/streams/EVENTS/msgs/1.blk",
        }
        status = await it.stop()
        assert status == 0
        assert {"hubbub-api", "hubbub-auth", "hubbub-spawner-worker"} <= {span.service for span in collector.spans}
        found = leaks(secrets, {**files(it), "spans": b"\n".join(collector.bodies)})
        assert not found, "\n".join(found)


async def live(it: Hub) -> dict[str, str]:
    """A login, a server, its login, tokens, mistakes; the secrets that were used on the way."""
    used = {"password": PASSWORD, "wrong password": WRONG, "option": OPTION, "key": KEY, "service token": TOKEN}
    used["secret of a webhook"] = WEBHOOK
    async with Browser(it.url) as browser:
        await browser.login("ada", WRONG)
        status, _ = await browser.login("ada", PASSWORD)
        assert status == 200
        for cookie in browser.session.cookie_jar:
            # The session's id is no secret: it proves nothing, and servers are told it.
            if cookie.key != "jupyterhub-session-id":
                used[f"cookie {cookie.key}"] = cookie.value.strip('"')
        used |= await own_token(it)
        used |= await own_server(it, browser)
        used |= await invitations(it)
        used |= await mistakes(it, used)
        status, _ = await browser.get("/hub/logout")
        assert status == 200
    status, _ = await it.api("DELETE", "/users/ada/server")
    assert status in (202, 204)
    await eventually(lambda: _is_stopped(it), 20, "ada's server to stop")
    return used


async def _is_stopped(it: Hub) -> bool:
    return bool((await it.model("ada"))["servers"][""]["stopped"])


async def own_token(it: Hub) -> dict[str, str]:
    asked = {"note": "of the test"}
    status, body = await it.api("POST", "/users/ada/tokens", asked, headers={"Idempotency-Key": KEY})
    assert status == 201
    token = body["token"]
    status, again = await it.api("POST", "/users/ada/tokens", asked, headers={"Idempotency-Key": KEY})
    assert (status, again["token"]) == (201, token)
    status, _ = await it.api("GET", "/user", token=token)
    assert status == 200
    return {"token": token}


async def own_server(it: Hub, browser: Browser) -> dict[str, str]:
    """What a single-user server does at its owner's first visit."""

    async def has_stopped() -> bool:
        return (await it.api("DELETE", "/users/ada/server"))[0] == 204

    # The login has started it, without options.
    await eventually(has_stopped, 30, "the end of the server that the login has started")
    status, _ = await it.api("POST", "/users/ada/server", {"user_options": {"password": OPTION}})
    assert status in (201, 202)
    await eventually(lambda: it.is_ready("ada"), 30, "ada's server ready")
    answer = await it.standin("ada")
    assert answer is not None
    env = answer["env"]
    client, secret = env["JUPYTERHUB_CLIENT_ID"], env["JUPYTERHUB_API_TOKEN"]
    back = env["JUPYTERHUB_OAUTH_CALLBACK_URL"]
    query = {"client_id": client, "redirect_uri": back, "response_type": "code", "state": "state-of-the-server-s-own"}
    authorize = URL(f"{it.url}hub/api/oauth2/authorize").with_query(query)
    async with browser.session.get(authorize, allow_redirects=False) as response:
        assert response.status == 302, await response.text()
        code = URL(response.headers["Location"]).query["code"]
    fields = {"client_id": client, "grant_type": "authorization_code", "code": code, "redirect_uri": back}
    exchange = f"{it.url}hub/api/oauth2/token"
    async with it.session.post(exchange, data={**fields, "client_secret": FORGED}) as response:
        assert response.status in (400, 401)
    async with it.session.post(exchange, data={**fields, "client_secret": secret}) as response:
        assert response.status == 200, await response.text()
        token = (await response.json())["access_token"]
    async with it.session.post(exchange, data={**fields, "client_secret": secret}) as response:
        assert response.status == 400
    status, body = await it.api("GET", "/user", token=token)
    assert (status, body["name"]) == (200, "ada")
    status, _ = await it.api("POST", "/users/ada/activity", {"last_activity": "2026-01-01T00:00:00Z"}, token=secret)
    assert status == 200
    return {"server's token": secret, "code": code, "access token": token}


async def invitations(it: Hub) -> dict[str, str]:
    """What the terminal prints, and a code by which somebody else may come in; one that is wrong, too."""
    status, printed = await it.command("token", "admin")
    assert status == 0, printed
    admins = printed.strip().splitlines()[-1]
    status, made = await it.api("POST", "/share-codes/ada/", {}, token=admins)
    assert status == 200, made
    headers = {"Authorization": f"token {admins}"}
    for code in (made["code"], FORGED):
        async with it.session.get(f"{it.url}hub/accept-share", params={"code": code}, headers=headers) as response:
            assert response.status < 500, await response.text()
    _, hooks = await it.api("GET", "/webhooks", token=admins)
    assert [hook["name"] for hook in hooks] == ["audit"]
    return {"admin's token": admins, "share code": made["code"]}


async def mistakes(it: Hub, used: dict[str, str]) -> dict[str, str]:
    """Errors are where secrets get into logs."""
    status, _ = await it.api("GET", "/user", token=FORGED)
    assert status == 403
    headers = {"Authorization": f"token {used['token']}", "Content-Type": "application/json"}
    bodies = [f'{{"user_options": {{"password": "{BROKEN}"}}', f'{{"user_options": "{BROKEN}"}}', f'"{BROKEN}"']
    for body in bodies:
        async with it.session.post(f"{it.url}hub/api/users/ada/server", data=body, headers=headers) as response:
            assert response.status == 400, await response.text()
    async with it.session.get(f"{it.url}hub/api/user", params={"token": used["token"]}) as response:
        assert response.status == 403
    async with it.session.get(f"{it.url}hub/nowhere", params={"token": used["token"]}) as response:
        assert response.status == 404
    # The bus and the database go away at the worst moment: what is retried is named in logs.
    it.kill("nats")
    it.kill("postgres")
    status, _ = await again(it, {"user_options": {"password": OPTION}})
    assert status in (201, 202)
    await eventually(lambda: it.is_ready("ada", "lab"), 30, "a second server ready")
    return {"in a broken body": BROKEN, "forged token": FORGED}


async def again(it: Hub, body: object) -> tuple[int, object]:
    while True:
        status, answer = await it.api("POST", "/users/ada/servers/lab", body)
        if status != 503:
            return status, answer
        await asyncio.sleep(0.1)
