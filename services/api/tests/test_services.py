"""/services over HTTP: those of the configuration, and those that come and go while the hub runs."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from hubbub.domain.code import IssueCode
from hubbub.domain.service import RegisterService, Spec
from hubbub.domain.token import IssueToken
from hubbub.eventlog import Context
from hubbub.route_messages import WantRoutes
from hubbub.tokens import token_hash
from hubbub.views import CODES, SERVICES, TOKENS
from hubbub_api import registration, wanted
from hubbub_api.services import settle_services

SECRET = "a-token-of-the-lab"
BACK = "https://lab.example/callback"
CONFIG = {
    "services": [
        {"name": "registrar", "api_token": "token-of-the-registrar"},
        {"name": "board", "url": "https://10.0.0.7/x", "info": {"a": 1}, "api_token": "token-of-the-board"},
        {"name": "culler", "command": "cull --all", "display": False},
    ],
    "service_tokens": {"token-of-an-old-service": "old"},
    "load_roles": [
        {"name": "registrar", "services": ["registrar"], "scopes": ["admin:services", "read:users!user=ada"]},
        {"name": "boarder", "services": ["board"], "scopes": ["list:users"]},
    ],
    "custom_scopes": {"custom:lab": {"description": "Use the lab"}},
}
REGISTRAR = "token-of-the-registrar"

pytestmark = pytest.mark.parametrize("options", [CONFIG], indirect=True, ids=["hub"])


async def said(house, path: str, token: str = REGISTRAR, method: str = "GET", **more: Any) -> tuple[int, Any]:
    answer = await house.ask(f"/hub/api{path}", token=token, method=method, **more)
    return answer.status, await answer.json() if await answer.read() else None


async def register(house, name: str, token: str = REGISTRAR, **spec: Any) -> tuple[int, Any]:
    return await said(house, f"/services/{name}", token, "POST", json={"info": {}, **spec})


def error(status: int, message: str | None) -> tuple[int, Any]:
    return status, {"status": status, "message": message}


def service(name: str, **more: Any) -> dict[str, Any]:
    empty = {"admin": False, "roles": [], "url": "", "prefix": "", "command": [], "pid": 0, "info": {}, "display": True}
    return {"kind": "service", "name": name, **empty, **more}


async def test_a_service_from_its_coming_to_its_going(house):
    assert await said(house, "/services/lab") == error(404, "No such service: lab")
    lab = service("lab", info={"rooms": [1, 2]}, display=False)
    assert await register(house, "lab", info={"rooms": [1, 2]}, display=False, api_token=SECRET) == (201, lab)
    assert await said(house, "/services/lab") == (200, lab)
    assert (await said(house, "/services"))[1]["lab"] == lab
    mine = (await said(house, "/user", SECRET))[1]
    assert (mine["kind"], mine["name"], mine["scopes"]) == ("service", "lab", [])
    assert await register(house, "lab") == error(409, "Service lab already exists")
    assert await said(house, "/services/lab", method="DELETE") == (200, None)
    assert await said(house, "/services/lab", method="DELETE") == error(404, "Service lab does not exist")
    assert "lab" not in (await said(house, "/services"))[1]
    assert await said(house, "/user", SECRET) == error(403, None)
    assert (await register(house, "lab"))[0] == 201
    assert (await said(house, "/user", SECRET))[0] == 403


async def test_its_token_is_nowhere_but_a_hash(house):
    more = {"environment": {"PASSWORD": "of-the-environment"}}
    assert (await register(house, "lab", api_token=SECRET, **more))[0] == 201
    events = "".join(row["data"] for row in await house.pool.fetch("select data from events"))
    assert token_hash(SECRET) in events
    assert SECRET not in events
    assert "of-the-environment" not in events


CONFIGURED = {
    "registrar": service("registrar", roles=["registrar"]),
    "board": service("board", url="https://10.0.0.7/x", prefix="/services/board/", info={"a": 1}, roles=["boarder"]),
    "culler": service("culler", command=["cull --all"], display=False),
}


async def test_services_of_the_configuration_are_listed_and_stay(house):
    assert await said(house, "/services") == (200, CONFIGURED)
    assert await said(house, "/services/board") == (200, CONFIGURED["board"])
    assert await register(house, "board") == error(409, "Service board already exists")
    refused = await said(house, "/services/board", method="DELETE")
    assert refused == error(405, "Service board is not modifiable at runtime")


async def test_what_is_shown_depends_on_the_scopes(house):
    await house.person("root", admin=True)
    await register(house, "lab")

    async def seen(path: str, *scopes: str) -> tuple[int, Any]:
        return await said(house, path, await house.token("root", *scopes))

    named = {"kind": "service", "name": "lab", "admin": False}
    assert await seen("/services/lab", "read:services:name") == (200, named)
    assert await seen("/services/lab", "read:roles:services!service=lab") == (200, {**named, "roles": []})
    assert (await seen("/services/lab", "read:services"))[1].keys() == service("lab").keys() - {"roles"}
    assert (await seen("/services/lab", "read:services!service=board"))[0] == 404
    assert (await seen("/services/lab", "list:users"))[0] == 403
    assert await seen("/services", "list:services!service=lab") == (200, {"lab": named})
    assert await seen("/services", "list:services!user=root") == (200, {})
    assert (await seen("/services", "read:services"))[0] == 403
    token = await house.token("root", "admin:services!service=lab")
    assert (await register(house, "other", token))[0] == 404
    assert (await said(house, "/services/lab", token, "DELETE"))[0] == 200


FAILED = (400, "Failed to create service lab")
WRONG = [
    (None, (400, "Invalid service data")),
    ({}, (400, "Invalid service data")),
    ([1], (400, "Invalid service data")),
    ({"frob": 1}, (400, "Invalid JSON keys: frob")),
    ({"timeout": 3}, (400, "Invalid JSON keys: timeout")),
    ({"admin": "yes"}, (400, "Invalid body: Expected `bool`, got `str` - at `$.admin`")),
    ({"info": None}, (400, "Invalid body: Expected `object`, got `null` - at `$.info`")),
    ({"command": ["sleep", "1"]}, (400, "Can not create managed service lab at runtime")),
    ({"api_token": "short"}, FAILED),
    ({"api_token": "x" * 65}, FAILED),
    ({"api_token": "token-of-the-board"}, FAILED),
    ({"api_token": "token-of-an-old-service"}, FAILED),
    ({"url": "ftp://x/"}, FAILED),
    ({"url": "http://"}, FAILED),
    ({"url": "http://x:0/"}, FAILED),
    ({"url": "http://ada:password@x/"}, FAILED),
    ({"url": "http://" + "x" * 600}, FAILED),
    ({"oauth_client_id": "lab", "oauth_redirect_uri": BACK}, FAILED),
    ({"oauth_client_id": "service-board", "oauth_redirect_uri": BACK}, FAILED),
    ({"oauth_client_id": "service-lab"}, FAILED),
    ({"oauth_no_confirm": True}, FAILED),
    ({"oauth_redirect_uri": "//elsewhere.example/"}, FAILED),
    ({"oauth_redirect_uri": "javascript:x"}, FAILED),
    ({"oauth_redirect_uri": f"{BACK}\r\nX: y"}, FAILED),
    ({"info": {"x": "x" * registration.LARGEST}}, FAILED),
    ({"oauth_client_allowed_scopes": ["read:planets"]}, (400, "No such scope: 'read:planets'")),
]


@pytest.mark.parametrize(("body", "refused"), WRONG, ids=str)
async def test_what_cannot_be_a_service_is_refused(house, body: Any, refused: tuple[int, str]):
    given = {} if body is None else {"json": body}
    assert await said(house, "/services/lab", REGISTRAR, "POST", **given) == error(*refused)
    assert (await said(house, "/services/lab"))[0] == 404


@pytest.mark.parametrize("name", ["%2e%2e%2e", "a%2541", "%20x", "a%0a", "x" * 256, "old"])
async def test_a_name_that_cannot_be_is_refused(house, name: str):
    answer = await house.ask(f"/hub/api/services/{name}", token=REGISTRAR, method="POST", json={"info": {}})
    assert answer.status == 400, await answer.text()
    assert (await said(house, "/services"))[1].keys() == CONFIGURED.keys()


async def test_who_registers_may_pass_on_what_they_have_themselves(house):
    """With whatever token: it is its owner who counts (contract, 13.5)."""
    for name in ("root", "ada"):
        await house.person(name, admin=name == "root")
    token = await house.token("root", "admin:services")
    lab = {"oauth_redirect_uri": BACK, "oauth_client_allowed_scopes": ["read:users", "inherit"]}
    assert await register(house, "lab", **lab) == error(
        400,
        "Not assigning requested scopes "
        "read:users,read:users:activity,read:users:groups,read:users:name not held by Service registrar",
    )
    assert (await register(house, "lab", **lab | {"oauth_client_allowed_scopes": ["read:users:name!user=ada"]}))[
        0
    ] == 201
    assert (await register(house, "lab-2", token, **lab))[0] == 201
    assert (await register(house, "lab-3", admin=True))[0] == 400
    assert await register(house, "lab-3", token, admin=True, api_token=SECRET) == (
        201,
        service("lab-3", admin=True, roles=["admin"]),
    )
    assert (await said(house, "/users", SECRET))[0] == 200


async def test_a_service_that_people_log_in_to(house):
    assert (await register(house, "lab", oauth_redirect_uri=BACK))[0] == 201
    assert (await register(house, "lab-2", oauth_client_id="service-lab", oauth_redirect_uri=BACK))[0] == 400
    [row] = await house.pool.fetch("select client, state from services")
    spec = json.loads(row["state"])["spec"]
    assert (row["client"], spec["oauth_redirect_uri"]) == ("service-lab", BACK)


async def test_nothing_is_left_of_what_it_was_trusted_with(house):
    await house.person("ada")
    user = await house.views.user("ada")
    given = {"user": user.id, "client": "service-lab"}
    await register(house, "lab", oauth_redirect_uri=BACK, api_token=SECRET)

    async def trust(tx: Any) -> None:
        await tx.know(user.id)
        await tx.act(TOKENS, uuid4().hex, IssueToken(hash=uuid4().hex, **given))
        code = IssueCode(
            hash=uuid4().hex,
            redirect_uri=BACK,
            scopes=(),
            session="",
            expires_at=tx.now,
            challenge="",
            **given,
            challenge_method="",
        )
        await tx.act(CODES, uuid4().hex, code)

    await house.committer.submit(trust, Context.of("test"))
    assert (await said(house, "/services/lab", method="DELETE"))[0] == 200
    left = await house.pool.fetchrow("select (select count(*) from tokens), (select count(*) from codes)")
    assert tuple(left) == (0, 0)


async def test_tokens_of_an_earlier_service_are_not_those_of_a_new_one(house):
    """It may have been the configuration's, which tells nobody when it forgets one."""
    issue = IssueToken(user="", service="lab", hash=token_hash(SECRET))
    await house.committer.execute(TOKENS, uuid4().hex, issue, Context.of("test"))
    assert (await register(house, "lab", api_token="another-token-of-the-lab"))[0] == 201
    assert (await said(house, "/user", SECRET))[0] == 403
    assert (await said(house, "/user", "another-token-of-the-lab"))[0] == 200


async def test_a_token_that_somebody_has_is_not_anothers(house):
    await house.person("root", admin=True)
    token = await house.token("root")
    assert await register(house, "lab", api_token=token) == error(*FAILED)
    assert (await register(house, "lab", api_token=SECRET))[0] == 201
    assert (await register(house, "lab-2", api_token=SECRET))[0] == 400


async def test_of_two_who_register_the_same_one_does(house, colleague):
    answers = await asyncio.gather(*(register(each, "lab", api_token=SECRET) for each in (house, colleague) * 3))
    assert sorted(status for status, _ in answers) == [201, 409, 409, 409, 409, 409]
    assert await house.pool.fetchval("select count(*) from tokens") == 1


async def test_a_repeated_request_is_answered_as_the_first(house, colleague):
    headers = {"Idempotency-Key": "k1"}
    first = await said(house, "/services/lab", REGISTRAR, "POST", json={"api_token": SECRET}, headers=headers)
    again = await said(colleague, "/services/lab", REGISTRAR, "POST", json={"api_token": SECRET}, headers=headers)
    assert first == again == (201, service("lab"))
    assert await house.pool.fetchval("select count(*) from events where type = 'ServiceRegistered'") == 1


async def test_there_is_a_limit(house, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(registration, "MOST", 1)
    assert (await register(house, "lab"))[0] == 201
    assert await register(house, "lab-2") == error(429, "There are 1 services already")


async def test_the_answer_waits_for_the_service(house):
    visits: list[tuple[str, int]] = []

    async def answer(request: web.Request) -> web.Response:
        visits.append((request.path, 503 if len(visits) < 2 else 404))
        return web.Response(status=visits[-1][1])

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    async with TestServer(app) as server:
        url = f"http://127.0.0.1:{server.port}"
        status, lab = await register(house, "lab", url=f"{url}/anywhere/")
    assert (status, lab["url"], lab["prefix"]) == (201, f"{url}/anywhere/", "/services/lab/")
    assert visits == [("/services/lab/", 503), ("/services/lab/", 503), ("/services/lab/", 404)]


# Their routes -----------------------------------------------------------------------------


async def wanted_by(house, options, *servers: str) -> dict[str, tuple[str, str, Any]]:
    """All that is wanted, page by page; only of *servers*."""
    routes, found, after = wanted.WantedRoutes(house.pool, options), {}, ""
    while True:
        asked = msgspec.json.encode(WantRoutes(servers=servers or None, after=after))
        page = await routes.routes("", asked)
        found |= {route.server: (route.spec, route.target, route.data.get("service")) for route in page.wanted}
        if not (after := page.next):
            return found


async def come(house, name: str, url: str = "http://10.0.0.9") -> str:
    """A service is there, without anybody waiting for it; whose its route is."""
    id = uuid4().hex
    await house.committer.execute(SERVICES, id, RegisterService(spec=Spec(name=name, url=url)), Context.of("test"))
    return f"service:{id}"


async def test_their_routes_are_wanted(house, options, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(wanted, "FEW", 2)
    labs = {await come(house, f"lab-{n}"): f"lab-{n}" for n in range(5)}
    without = await come(house, "without", url="")
    everything = await wanted_by(house, options)
    assert everything.pop("hub")[0] == "/"
    assert everything.pop("service:board") == ("/services/board/", "https://10.0.0.7:443", "board")
    assert everything == {owner: (f"/services/{name}/", "http://10.0.0.9:80", name) for owner, name in labs.items()}
    some = list(labs)[:3]
    assert (await wanted_by(house, options, *some, without, "service:board", "a-server")).keys() == set(some)


async def test_the_configurations_word_counts(house, options):
    await come(house, "board", url="http://10.0.0.66")
    assert (await said(house, "/services/board"))[1] == CONFIGURED["board"]
    assert {route[1] for route in (await wanted_by(house, options)).values() if route[2]} == {"https://10.0.0.7:443"}
    await settle_services(house.pool, house.committer, options)
    assert await house.pool.fetchval("select count(*) from services") == 0
    assert (await said(house, "/services/board"))[0] == 200


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "need JSON body"),
        (b"[]", "Request body must be JSON dict"),
        (b"{", "Invalid JSON in body of request"),
        (b'{"api_url": 1}', "Invalid body: Expected `str`, got `int` - at `$.api_url`"),
    ],
)
async def test_a_proxy_that_cannot_be_is_nowhere(house, body: bytes, message: str):
    await house.person("root", admin=True)
    token = await house.token("root")
    assert await said(house, "/proxy", token, "PATCH", data=body) == error(400, message)
