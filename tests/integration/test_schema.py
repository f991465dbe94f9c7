"""Requests made up from descriptions of the REST API: none makes the hub fail, no answer contradicts them."""

import http
import traceback
from collections import defaultdict
from collections.abc import AsyncIterator, Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

import rest_api
from stack import Hub, hub

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
#: Few enough for every change of ours; `make test-long` takes its time. The same ones each time.
FEW, MANY, SEED = 6, 150, 1
PHASES = [Phase.generate, Phase.shrink]

#: Operations of ours that no made-up request can be right for.
NEVER_SUCCEED = {
    "GET /users/{user}/server/progress": "takes a start that is under way",
    "GET /users/{user}/servers/{name}/progress": "the same",
    "GET /users/{user}/server/log": "takes a server that a worker holds",
    "GET /users/{user}/servers/{name}/log": "the same",
    "POST /users/{user}/server/keep": "takes a server that runs",
    "POST /users/{user}/servers/{name}/keep": "the same",
    "POST /authorizations/token": "it is gone: 404, with a sentence (contract, 1.4)",
    "POST /authorizations/token/{token}": "the same",
    "GET /authorizations/cookie/{name}": "takes a cookie that only a browser has",
    "GET /authorizations/cookie/{name}/{value}": "the same",
    "POST /batchspawner": "takes the token of a server",
    "POST /oauth2/token": "takes a code that only a browser is given",
    "POST /orphans/{server_id}/{attempt}": "takes something that is left of a start",
    "DELETE /orphans/{server_id}/{attempt}": "the same",
    "POST /users/{user}/server/force-stop": "takes a server that is stopping",
    "POST /users/{user}/servers/{name}/force-stop": "the same",
    "DELETE /users/{user}/sessions/{session}": "takes a browser that is logged in",
    "POST /users/{user}/admin-access": "takes c.JupyterHub.admin_access, which is off",
    "POST /services/{service}": "takes addresses and ids that fit together; `World` makes one",
    "POST /services/{service}/restart": "takes a service that the hub runs itself",
    "PATCH /webhooks/{webhook}": "takes a webhook of the configuration",
    "GET /users/{user}/server/starts/{attempt}": "takes a start that there was",
    "GET /users/{user}/servers/{name}/starts/{attempt}": "the same",
    "PUT /users/{user}/server": "the default server is there by itself (contract, 1.4)",
}

#: Where a name stands for something else than usual. The first that fits counts.
WHERE = {
    r"PUT /users/\{name\}/servers/\{server_name\}": {"path.server_name": "new"},
    r"PUT /users/\{user\}/servers/\{name\}": {"path.name": "new"},
    r"PATCH /users/\{name\}/servers/\{server_name\}": {"path.server_name": "still"},
    r"PATCH /users/\{user\}/servers/\{name\}": {"path.name": "still"},
    r"PATCH /users/\{user\}/server": {"path.user": "doomed"},
    r"POST /users/\{(name|user)\}": {"path.name": "other", "path.user": "other"},
    r"(PATCH|DELETE) /users/\{(name|user)\}": {"path.name": "doomed", "path.user": "doomed"},
    r"POST /groups/\{(name|group)\}": {"path.name": "other", "path.group": "other"},
    r"POST /services/\{service\}": {"path.service": "other"},
    r"DELETE /services/\{service\}": {"path.service": "passing"},
    r"[A-Z]+ /groups/.*": {"path.name": "groups"},
    r"[A-Z]+ /services/.*": {"path.name": "services"},
    r"[A-Z]+ /users/\{user\}/servers/.*": {"path.name": "servers"},
    r"[A-Z]+ /users/\{(name|user)\}/shared/.*": {"path.name": "guest", "path.user": "guest"},
    r"[A-Z]+ /users/\{(name|user)\}/tokens/.*": {"path.name": "owner", "path.user": "owner"},
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hub]:
    """Its starts are answered at once with 202, so that no request waits for a process."""
    async with hub(tmp_path_factory.mktemp("schema") / "data", environ={"TEST_SLOW_SPAWN": "0"}) as made:
        status, output = await made.command("token", "admin")
        assert status == 0, output
        made.environ["ADMIN"] = output.splitlines()[-1]
        yield made


class World:
    """What there is to be asked for, made anew whenever a request has taken some of it away."""

    def __init__(self, house: Hub) -> None:
        self.url = f"{house.running()['hub_url'].rstrip('/')}/api"
        self.token = house.environ["ADMIN"]
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"token {self.token}"
        self.statuses: dict[str, set[int]] = defaultdict(set)
        self.make()
        self.tokens = [self._ask("POST", "/users/ada/tokens", {"note": "n"}).json()["id"] for _ in range(5)]

    def make(self) -> None:
        self._ask("PATCH", "/house", {"paused": False})
        self._ask("POST", "/users", {"usernames": ["ada", "bob", "doomed"]})
        for name in ("ada", "bob"):
            self._ask("PUT", f"/users/{name}/servers/lab")
            self._ask("PUT", f"/users/{name}/servers/still")
        self._ask("DELETE", "/users/doomed/server")  # which is what makes the hub know of it
        self._ask("POST", "/groups/staff")
        self._ask("POST", "/groups/staff/users", {"users": ["bob"]})
        self._ask("POST", "/services/passing", {"display": True})
        for whom in ({"user": "bob"}, {"group": "staff"}):
            self._ask("POST", "/shares/ada/lab", whom)

    def _ask(self, method: str, path: str, body: Any = None) -> requests.Response:
        answer = self.session.request(method, self.url + path, json=body, timeout=30)
        assert answer.status_code < 500, answer.text
        return answer

    def config(self) -> schemathesis.Config:
        """Most names are of something that there is."""
        words = {
            "users": ["ada", "bob"],
            "owner": ["ada"],
            "guest": ["bob"],
            "doomed": ["doomed"],
            "groups": ["staff"],
            "servers": ["lab"],
            "still": ["still"],
            "new": [f"new-{n}" for n in range(20)],
            "other": [f"other-{n}" for n in range(20)],
            "services": ["test"],
            "passing": ["passing"],
            "workers": ["spawner-worker-1"],
            "times": ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.5+01:00"],
            "ids": self.tokens,
            "scopes": ["access:servers!server=ada/lab", "read:users!user=ada", "self", "inherit"],
            "tokens": [self.token],
        }
        names = {
            "path.name": "users",
            "path.user": "users",
            "path.owner": "owner",
            "path.server": "servers",
            "path.server_name": "servers",
            "path.group": "groups",
            "path.service": "services",
            "path.worker": "workers",
            "path.id": "ids",
            "path.token_id": "ids",
            "path.token": "tokens",
            "body.name": "new",
            "body.last_activity": "times",
            "body.user": "users",
            "body.usernames[*]": "new",
            "body.group": "groups",
            "body.groups[*]": "new",
            "body.users[*]": "users",
            "body.scopes[*]": "scopes",
        }
        return schemathesis.Config.from_dict(
            {
                "seed": SEED,
                "base-url": self.url,
                "headers": {"Authorization": f"token {self.token}"},
                "dictionaries": {name: {"values": values} for name, values in words.items()},
                "parameters": _bound(names),
                "operations": [
                    *(
                        {"include-name-regex": f"^{which}$", "parameters": _bound(each)}
                        for which, each in WHERE.items()
                    ),
                    {"include-path": "/shutdown", "enabled": False},
                ],
                "analysis": {"constants": {"enabled": False}},  # nothing is learned from our source code
            }
        )

    def judge(self, case: schemathesis.Case, checks: list[Any]) -> None:
        """Ask, and compare the answer with the document."""
        if case.operation.label.endswith("/log"):
            case.query.pop("follow", None)  # which has no end while the server runs
        answer = case.call(session=self.session, timeout=30)
        self.statuses[case.operation.label].add(answer.status_code)
        if case.method in ("DELETE", "PATCH") and answer.status_code < http.HTTPStatus.MULTIPLE_CHOICES:
            self.make()
        try:
            case.validate_response(answer, checks=checks)
        except BaseExceptionGroup as found:  # which hypothesis would not look into
            raise AssertionError(str(found)) from None

    def never_succeeded(self) -> set[str]:
        return {label for label, seen in self.statuses.items() if min(seen) >= http.HTTPStatus.BAD_REQUEST}


def _bound(names: dict[str, str]) -> dict[str, Any]:
    """A body with several fields is right only if all of them are."""
    often = {"path": 0.75, "body": 0.95}
    return {name: {"dictionary": words, "probability": often[name.partition(".")[0]]} for name, words in names.items()}


def contradictions(world: World, described: Any, examples: int) -> list[str]:
    """Ask *examples* requests of each operation as it is described, and as many that are not quite like that."""
    found = []
    for operation in (each.ok() for each in described.get_all_operations()):
        for mode in schemathesis.GenerationMode:
            if mode is schemathesis.GenerationMode.NEGATIVE and not (operation.query or operation.body):
                continue  # any text is a name: nothing can be wrong with it
            try:
                _ask(world, operation, examples, mode)
            except Exception as failure:
                found.append(f"{operation.label}: {''.join(traceback.format_exception_only(failure))}")
    return found


def _ask(world: World, operation: Any, examples: int, mode: schemathesis.GenerationMode) -> None:
    @seed(SEED)
    @settings(
        max_examples=examples, deadline=None, database=None, phases=PHASES, suppress_health_check=list(HealthCheck)
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def asked(case: schemathesis.Case) -> None:
        world.judge(case, CHECKS)

    with suppress(Unsatisfiable):  # there is nothing that can be wrong with some requests
        asked()


def never_right(world: World, described: Any, known: Collection[str]) -> set[str]:
    """Operations, besides those *known*, that none of all requests was right for.

    What is asked also depends on which modules happen to be loaded, and of few requests all may be wrong: then many.
    """
    for operation in (each.ok() for each in described.get_all_operations()):
        if operation.label in world.never_succeeded().difference(known):
            _ask(world, operation, MANY, schemathesis.GenerationMode.POSITIVE)
    return world.never_succeeded().difference(known)


@pytest.fixture
def world(house: Hub) -> World:
    return World(house)


@pytest.fixture(scope="session")
def published(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What JupyterHub publishes of itself, corrected."""
    assert request.config.cache is not None
    kept: Path = request.config.cache.mkdir(f"jupyterhub-{rest_api.RELEASE}")
    return rest_api.corrected(rest_api.document(kept))


pytestmark = pytest.mark.timeout(300)  # seconds; on two cores that have nothing else to do, 30
AT_LENGTH = pytest.param(MANY, marks=[pytest.mark.long, pytest.mark.timeout(3600)])


@pytest.mark.parametrize("examples", [FEW, AT_LENGTH])
def test_no_answer_contradicts_what_jupyterhub_publishes(
    world: World, published: dict[str, Any], examples: int
) -> None:
    described = schemathesis.openapi.from_dict(published, config=world.config())
    found = contradictions(world, described, examples)
    assert not found, "\n\n".join(found)
    assert never_right(world, described, rest_api.NEVER_SUCCEED) == set()


@pytest.fixture
def own(world: World) -> dict[str, Any]:
    """What the hub says of itself, to which it is held without any correction."""
    answer = world.session.get(f"{world.url}/openapi.json", timeout=30)
    assert answer.status_code == http.HTTPStatus.OK, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.parametrize("examples", [FEW, AT_LENGTH])
def test_no_answer_contradicts_what_the_hub_says_of_itself(world: World, own: dict[str, Any], examples: int) -> None:
    described = schemathesis.openapi.from_dict(own, config=world.config())
    found = contradictions(world, described, examples)
    assert not found, "\n\n".join(found)
    assert never_right(world, described, NEVER_SUCCEED) == set()
