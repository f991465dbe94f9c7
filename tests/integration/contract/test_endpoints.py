"""Every endpoint, against each scope that is enough, those that are not, filters that cover its target and do not."""

import pytest
from endpoints import ENDPOINTS, Endpoint
from stage import filled, set_up
from targets import Answer, Target

pytestmark = pytest.mark.asyncio(loop_scope="session")

NO_ACCESS = "No access to resources or resources not found"

each = pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.call)
each_with_a_filter = pytest.mark.parametrize(
    "endpoint", [endpoint for endpoint in ENDPOINTS if endpoint.filters], ids=lambda endpoint: endpoint.call
)


async def asked(target: Target, endpoint: Endpoint, *scopes: str, path: str = "") -> Answer:
    """What the endpoint answers, on a stage of its own, to a token with *scopes*."""
    names = await set_up(target, *endpoint.stage)
    token = await target.token(*(filled(scope, names) for scope in scopes), *endpoint.also)
    return await target.api(
        endpoint.method, filled(path or endpoint.path, names), filled(endpoint.body, names), token=token
    )


@pytest.mark.parametrize(
    ("endpoint", "scope"),
    [(endpoint, scope) for endpoint in ENDPOINTS for scope in endpoint.scopes],
    ids=lambda part: part.call if isinstance(part, Endpoint) else part,
)
async def test_one_scope_is_enough(target: Target, endpoint: Endpoint, scope: str) -> None:
    answer = await asked(target, endpoint, scope)
    assert answer.status == endpoint.status, answer


@pytest.mark.parametrize(
    ("endpoint", "filter"),
    [(endpoint, filter) for endpoint in ENDPOINTS for filter in endpoint.filters],
    ids=lambda part: part.call if isinstance(part, Endpoint) else part.replace("{", "").replace("}", ""),
)
async def test_a_filter_that_covers_the_target_is_enough(target: Target, endpoint: Endpoint, filter: str) -> None:
    answer = await asked(target, endpoint, f"{endpoint.scopes[0]}!{filter}")
    assert answer.status == endpoint.status, answer


@each_with_a_filter
async def test_a_filter_on_something_else_hides_the_target(target: Target, endpoint: Endpoint) -> None:
    answer = await asked(target, endpoint, f"{endpoint.scopes[0]}!{endpoint.foreign}")
    assert (answer.status, answer.message) == (404, NO_ACCESS)


@each
async def test_another_scope_is_refused_by_name(target: Target, endpoint: Endpoint) -> None:
    answer = await asked(target, endpoint, endpoint.lacking)
    if "read:users:name" in endpoint.scopes:  # every token has that for its owner
        assert (answer.status, answer.message) == (404, NO_ACCESS)
    else:
        needed = ", ".join(endpoint.scopes)
        message = f"Action is not authorized with current scopes; requires any of [{needed}]"
        assert (answer.status, answer.message) == (403, message)


@pytest.mark.parametrize("token", [None, "unknown"])
@each
async def test_nobody_is_refused(target: Target, endpoint: Endpoint, token: str | None) -> None:
    answer = await target.api(endpoint.method, endpoint.path.replace("{", "").replace("}", ""), token=token)
    assert (answer.status, answer.message) == (403, "Missing or invalid credentials.")


@pytest.mark.parametrize(
    "endpoint", [endpoint for endpoint in ENDPOINTS if endpoint.missing], ids=lambda endpoint: endpoint.call
)
async def test_what_is_not_there_is_a_404(target: Target, endpoint: Endpoint) -> None:
    answer = await asked(target, endpoint, endpoint.scopes[0], path=endpoint.missing)
    assert answer.status == 404, answer
    if endpoint.missing_message is ...:
        assert isinstance(answer.message, str) and answer.message not in ("", NO_ACCESS)
    else:
        assert answer.message is None


@pytest.mark.parametrize(
    "endpoint", [endpoint for endpoint in ENDPOINTS if not endpoint.filters], ids=lambda endpoint: endpoint.call
)
async def test_what_concerns_all_needs_the_whole_scope(target: Target, endpoint: Endpoint) -> None:
    """Lists answer with what the filter covers; everything else is refused as if the scope were absent."""
    if endpoint.scopes[0].startswith("list:"):
        kind = endpoint.path.strip("/").removesuffix("s")
        answer = await asked(target, endpoint, f"{endpoint.scopes[0]}!{kind}={{other}}")
        assert answer.status == 200 and not answer.json
    else:
        answer = await asked(target, endpoint, f"{endpoint.scopes[0]}!user={{other}}")
        assert (answer.status, answer.message[:6]) == (403, "Action")
