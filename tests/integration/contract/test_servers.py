"""Servers: making, starting, changing and stopping them, and the stream of a start."""

import json
from typing import Any

import pytest
from refusals import Refused, row_id, says
from stage import set_up
from targets import TOKEN, Answer, Target

from hubbub.testing.eventually import eventually
from stack import CONTAINERS

pytestmark = pytest.mark.asyncio(loop_scope="session")

U = ("user",)
S = ("user", "server")
NAMED = "/users/{user}/servers/{server}"
NEW = "/users/{user}/servers/{new}"


def bad(name: str) -> Refused:
    return Refused(f"PUT /users/{{user}}/servers/{name}", None, (400, ...), U)


REFUSED = [
    *map(bad, ["Upper", "under_score", "-a", "a-", "a--b", "1a", "a.b", "a%20b", "x" * 31, "%C3%A9"]),
    Refused("POST /users/{user}/servers/Upper", None, (400, ["Upper"]), U),
    Refused(f"PUT {NAMED}", None, (409, ["{user}", "{server}"]), S),
    Refused("PUT /users/{user}/server", None, (409, ["{user}"]), U),
    Refused("PUT /users/{user}/servers/", None, (409, ["{user}"]), U),
    Refused(f"PUT {NEW}", [1], (400, ...), U),
    Refused(f"POST {NEW}", "text", (400, ...), U),
    Refused(f"PUT {NEW}", {"display_name": 1}, (400, ...), U),
    Refused(f"POST {NEW}", {"display_name": None}, (400, ...), U),
    Refused(f"PUT {NEW}", {"user_options": []}, (400, ...), U),
    *(
        Refused(f"PUT {NEW}", {"display_name": name}, (400, ...), U)
        for name in (" a", "a ", "a  b", "a\tb", "a\u0007", "x" * 256)
    ),
    Refused(f"PATCH {NAMED}", None, (400, ...), S),
    Refused(f"PATCH {NAMED}", {}, (400, ...), S),
    Refused(f"PATCH {NAMED}", {"frob": 1}, "an unknown key of a server", S),
    Refused(f"PATCH {NAMED}", {"user_options": None}, (400, ...), S),
    Refused(f"PATCH {NAMED}", {"name": "Bad_Name"}, (400, ["Bad_Name"]), S),
    Refused(f"PATCH {NAMED}", {"name": "{server}"}, (409, ["{user}", "{server}"]), S),
    Refused(f"PATCH {NEW}", {"display_name": "A"}, (404, ["{user}", "{new}"]), U),
    Refused("PATCH /users/{user}/server", {"user_options": {}}, (400, ...), ("user", "running")),
    Refused("POST /users/{user}/server", None, (400, ...), ("user", "running")),
    Refused("DELETE /users/{user}/server", {"remove": True}, (400, ...), U),
    Refused(f"DELETE {NEW}", None, (404, ["{user}", "{new}"]), U),
    Refused(f"GET {NEW}", None, (404, None), U),
    Refused("GET /users/{user}/server/progress", None, (404, None), U),
    Refused(f"GET {NAMED}/progress", None, (400, "{user}:{server} is not starting..."), S),
]


@pytest.mark.parametrize("row", REFUSED, ids=row_id)
async def test_is_refused(target: Target, row: Refused) -> None:
    await row.hold(target)


async def test_a_user_has_three_named_servers_at_most(target: Target) -> None:
    names = await set_up(target, "user", "server")
    path = f"/users/{names['user']}/servers"
    for name in ("two", "three"):
        await target.done("PUT", f"{path}/{name}")
    for method in ("PUT", "POST"):
        says(await target.api(method, f"{path}/four"), 400, ["3", names["user"]])
    renamed = await target.api("PATCH", f"/users/{names['user']}/server", {"name": "four"})
    says(renamed, 400, ["3", names["user"]])  # since there is a new default one from then on
    assert (await target.api("POST", f"{path}/two")).status == 201  # it is there already
    assert (await target.api("POST", f"{path}/")).status == 201  # the default one does not count
    assert (await target.api("DELETE", f"{path}/three", {"remove": True})).status == 204
    await target.done("PUT", f"{path}/four")


def text(answer: Answer, status: int) -> None:
    assert (answer.status, answer.text) == (status, ""), answer
    assert status == 204 or answer.headers["Content-Type"].startswith("text/plain"), answer


async def test_a_new_name_leaves_what_it_is_shown_as(target: Target) -> None:
    names = await set_up(target, "user", "server")
    place = f"/users/{names['user']}/servers/{names['server']}"
    assert (await target.done("PATCH", place, {"name": names["new"]}))["display_name"] == names["server"]


@pytest.mark.parametrize("path", ["server", "servers/"])
async def test_the_life_of_the_default_server(target: Target, path: str) -> None:
    names = await set_up(target, "user")
    place = f"/users/{names['user']}/{path}"
    text(await target.api("POST", place, {"colour": "red"}), 201)
    running = await target.done("GET", place)
    assert (running["ready"], running["stopped"], running["user_options"]) == (True, False, {"colour": "red"})
    says(await target.api("POST", place), 400, ...)
    text(await target.api("DELETE", place), 204)
    stopped = await target.done("GET", place)
    assert (stopped["ready"], stopped["stopped"], stopped["started"]) == (False, True, None)
    text(await target.api("POST", place), 201)
    assert (await target.done("GET", place))["user_options"] == {"colour": "red"}  # those of last time
    text(await target.api("DELETE", place), 204)
    text(await target.api("DELETE", place), 204)


async def test_the_default_server_is_there_before_it_ever_ran(target: Target) -> None:
    names = await set_up(target, "user")
    place = f"/users/{names['user']}/server"
    model = await target.done("GET", place)
    assert (model["name"], model["stopped"], model["ready"], model["started"]) == ("", True, False, None)
    assert (model["user_options"], model["state"], model["last_activity"]) == (None, None, None)
    assert (await target.done("GET", f"/users/{names['user']}?include_stopped_servers"))["servers"] == {"": model}
    text(await target.api("DELETE", place), 204)
    assert (await target.done("GET", place))["stopped"] is True


@pytest.mark.parametrize(
    ("body", "display_name", "options"),
    [
        (None, "{server}", {}),
        ({}, "{server}", {}),
        ({"colour": "red"}, "{server}", {"colour": "red"}),
        ({"user_options": {"colour": "red"}}, "{server}", {"colour": "red"}),
        ({"user_options": None}, "{server}", {}),
        ({"display_name": "My server \u00e9"}, "My server \u00e9", {}),
        ({"display_name": ""}, "{server}", {}),
        ({"display_name": "A", "user_options": {"b": [1]}}, "A", {"b": [1]}),
    ],
)
@pytest.mark.parametrize("method", ["PUT", "POST"])
async def test_a_named_server_is_made(
    target: Target, method: str, body: Any, display_name: str, options: dict[str, Any]
) -> None:
    names = await set_up(target, "user")
    place = f"/users/{names['user']}/servers/{names['server']}"
    answer = await target.api(method, place, body)
    assert answer.status == 201, answer
    model = await target.done("GET", place)
    if method == "PUT":
        assert answer.json == model
    assert model["display_name"] == display_name.format(server=names["server"])
    assert (model["user_options"], model["ready"]) == (options, method == "POST")


async def test_what_was_put_is_what_starts(target: Target) -> None:
    names = await set_up(target, "user")
    place = f"/users/{names['user']}/servers/{names['server']}"
    await target.done("PUT", place, {"display_name": "A", "user_options": {"colour": "red"}})
    assert (await target.api("POST", place)).status == 201
    model = await target.done("GET", place)
    assert (model["display_name"], model["user_options"]) == ("A", {"colour": "red"})


async def test_a_server_is_changed_while_it_stands(target: Target) -> None:
    names = await set_up(target, "user", "server")
    servers = f"/users/{names['user']}/servers"
    old, new = names["server"], names["new"]
    answer = await target.api("PATCH", f"{servers}/{old}", {"display_name": "B", "user_options": {"c": 1}})
    assert answer.headers["Content-Type"] == "application/json; charset=UTF-8"
    assert (answer.json["display_name"], answer.json["user_options"]) == ("B", {"c": 1})
    renamed = await target.done("PATCH", f"{servers}/{old}", {"name": new})
    assert (renamed["name"], renamed["url"]) == (new, f"/user/{names['user']}/{new}/")
    assert renamed["display_name"] == "B"
    assert (await target.api("GET", f"{servers}/{old}")).status == 404
    assert (await target.api("POST", f"{servers}/{new}")).status == 201
    assert (await target.done("GET", f"{servers}/{new}"))["user_options"] == {"c": 1}


async def test_the_default_server_gets_a_name(target: Target) -> None:
    names = await set_up(target, "user")
    renamed = await target.done(
        "PATCH", f"/users/{names['user']}/server", {"name": names["new"], "display_name": "Old"}
    )
    assert (renamed["name"], renamed["display_name"]) == (names["new"], "Old")


async def test_a_named_server_is_removed(target: Target) -> None:
    names = await set_up(target, "user", "server")
    place = f"/users/{names['user']}/servers/{names['server']}"
    assert (await target.api("POST", place)).status == 201
    text(await target.api("DELETE", place), 204)
    assert (await target.done("GET", place))["stopped"] is True
    text(await target.api("DELETE", place, {"remove": True}), 204)
    assert (await target.api("GET", place)).status == 404


async def stream(target: Target, path: str) -> tuple[Answer, list[Any]]:
    """A progress stream to its end: the answer, and its events."""
    answer = await target.api("GET", f"{path}/progress")
    lines = [line for line in answer.text.split("\n\n") if line.strip()]
    assert all(line.startswith("data: ") for line in lines), answer.text
    return answer, [json.loads(line.removeprefix("data: ")) for line in lines]


async def is_over(target: Target, place: str) -> bool:
    """Whether nothing is left of a start."""
    return (await target.done("GET", place))["stopped"] is True


async def test_a_slow_start_from_its_request_to_its_cancellation(target: Target) -> None:
    names = await set_up(target, "user")
    place = f"/users/{names['user']}/server"
    text(await target.api("POST", place, {"delay": 600}), 202)
    pending = await target.done("GET", place)
    assert (pending["pending"], pending["ready"], pending["stopped"]) == ("spawn", False, False)
    user = await target.done("GET", f"/users/{names['user']}")
    assert (user["pending"], user["server"], set(user["servers"])) == ("spawn", None, {""})
    text(await target.api("POST", place), 202)
    says(await target.api("PATCH", place, {"user_options": {}}), 400, ...)
    async with target.session.get(
        f"{target.url}hub/api{place}/progress", headers={"Authorization": f"token {TOKEN}"}
    ) as response:
        assert (response.status, response.content_type) == (200, "text/event-stream")
        assert response.headers["Cache-Control"] == "no-cache"
        assert await response.content.readuntil(b"\n\n") == b"\n\n"  # a sign of life before any event
        first = await response.content.readuntil(b"\n\n")
        assert json.loads(first.removeprefix(b"data: ")) == {"progress": 0, "message": "Server requested"}
        assert (await target.api("DELETE", place)).status in (202, 204)
        rest = (await response.content.read()).decode()
    last = json.loads(rest.strip().rpartition("data: ")[2])
    assert (last["progress"], last.get("failed", False)) == (100, target.answers("the end of a cancelled start"))
    await eventually(lambda: is_over(target, place))


async def test_the_stream_of_a_start(target: Target) -> None:
    names = await set_up(target, "user")
    place = f"/users/{names['user']}/servers/{names['server']}"
    text(await target.api("POST", place, {"delay": 8 if CONTAINERS else 4}), 202)  # longer than a start may be slow
    answer, events = await stream(target, place)
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    url = f"/user/{names['user']}/{names['server']}/"
    link = f'Server ready at <a href="{url}">{url}</a>'
    ready = {"progress": 100, "ready": True, "message": f"Server ready at {url}", "html_message": link, "url": url}
    assert events[0] == {"progress": 0, "message": "Server requested"}
    assert events[1] == {"progress": 50, "message": "Spawning server..."}
    assert events[-1] == ready and not any("ready" in event for event in events[:-1])
    assert (await stream(target, place))[1] == [ready]  # again, when it runs


async def test_the_stream_of_a_failed_start(target: Target) -> None:
    names = await set_up(target, "user")
    place = f"/users/{names['user']}/servers/{names['server']}"
    failed = await target.api("POST", place, {"fail": 3})
    says(failed, 500, ...)
    await stream(target, place)  # JupyterHub goes on waiting for a process that has ended
    [event] = (await stream(target, place))[1]
    assert (event["progress"], event["failed"]) == (100, True)
    assert event["message"].startswith("Spawn failed: ")
    await eventually(lambda: is_over(target, place))
    model = await target.done("GET", place)
    assert (model["ready"], model["pending"], model["stopped"]) == (False, None, True)
    text(await target.api("POST", place, {"user_options": {}}), 201)
