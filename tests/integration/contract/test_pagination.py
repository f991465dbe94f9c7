"""Pages of the lists."""

from typing import Any

import pytest
import pytest_asyncio
from targets import Target
from yarl import URL

pytestmark = pytest.mark.asyncio(loop_scope="session")

PAGES = {"Accept": "application/jupyterhub-pagination+json"}
HERE = 14  # users and groups; a page has 3, and 12 at most


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def crowd(target: Target) -> str:
    """What the names of HERE users, and of as many groups, begin with."""
    prefix = target.fresh("page")
    names = [f"{prefix}-{n:02}" for n in range(HERE)]
    await target.done("POST", "/users", {"usernames": names})
    await target.done("POST", "/groups", {"groups": names})
    return prefix


async def test_without_the_header_a_list_is_bare_and_cut_at_the_maximum(target: Target, crowd: str) -> None:
    found = await target.done("GET", f"/users?name_filter={crowd}")
    assert [user["name"] for user in found] == [f"{crowd}-{n:02}" for n in range(12)]


async def test_a_page(target: Target, crowd: str) -> None:
    found = await target.done("GET", f"/users?name_filter={crowd}", headers=PAGES)
    assert [user["name"] for user in found["items"]] == [f"{crowd}-{n:02}" for n in range(3)]
    url = found["_pagination"]["next"].pop("url")
    assert found["_pagination"] == {"offset": 0, "limit": 3, "total": HERE, "next": {"offset": 3, "limit": 3}}
    assert dict(URL(url).query) == {"name_filter": crowd, "offset": "3", "limit": "3"}
    assert str(URL(url).with_query(None)) == f"{target.url}hub/api/users"


@pytest.mark.parametrize(
    ("query", "offset", "limit", "items"),
    [
        ("limit=5", 0, 5, 5),
        ("limit=0", 0, 1, 1),
        ("limit=-4", 0, 4, 4),
        ("limit=1000", 0, 12, 12),
        ("offset=-12", 12, 3, 2),
        ("offset=13&limit=5", 13, 5, 1),
        ("offset=50", 50, 3, 0),
    ],
)
async def test_limits_are_bent_into_shape(
    target: Target, crowd: str, query: str, offset: int, limit: int, items: int
) -> None:
    found = await target.done("GET", f"/users?name_filter={crowd}&{query}", headers=PAGES)
    page = found["_pagination"]
    assert (page["offset"], page["limit"], page["total"], len(found["items"])) == (offset, limit, HERE, items)
    assert (page["next"] is None) == (offset + limit >= HERE)
    bare = await target.done("GET", f"/users?name_filter={crowd}&{query}&limit={limit}")
    assert len(bare) == items


@pytest.mark.parametrize("query", ["limit=many", "offset=1.5", "limit=", "offset=x&limit=2"])
@pytest.mark.parametrize("path", ["/users", "/groups", "/proxy", "/users/root/shared"])
async def test_limits_that_are_no_numbers_are_refused(target: Target, path: str, query: str) -> None:
    answer = await target.api("GET", f"{path}?{query}")
    assert answer.status == 400 and answer.message


async def test_the_pages_end_after_everybody_was_seen_once(target: Target, crowd: str) -> None:
    url, seen = f"{target.url}hub/api/users?name_filter={crowd}&limit=5&sort=-name", []
    while url:
        page = await target.done("GET", url.removeprefix(f"{target.url}hub/api"), headers=PAGES)
        seen += [user["name"] for user in page["items"]]
        url = (page["_pagination"]["next"] or {}).get("url", "")
    assert seen == [f"{crowd}-{n:02}" for n in reversed(range(HERE))]


async def test_the_next_page_is_where_this_one_was_asked_for(target: Target, crowd: str) -> None:
    headers = {**PAGES, "Host": "hub.example:8080"}
    page = await target.done("GET", f"/users?name_filter={crowd}", headers=headers)
    assert page["_pagination"]["next"]["url"].startswith("http://hub.example:8080/hub/api/users?")


@pytest.mark.parametrize(
    ("accept", "is_page"),
    [
        ("application/jupyterhub-pagination+json", True),
        ("text/html, Application/JupyterHub-Pagination+JSON ,*/*", True),
        ("application/jupyterhub-pagination+json;q=0.5", False),
        ("application/json", False),
        ("*/*", False),
    ],
)
@pytest.mark.parametrize("path", ["/users", "/groups", "/proxy"])
async def test_only_the_exact_type_asks_for_pages(target: Target, path: str, accept: str, is_page: bool) -> None:
    found: Any = await target.done("GET", f"{path}?limit=1", headers={"Accept": accept})
    assert ("_pagination" in found) == is_page
    if is_page:
        assert set(found) == {"items", "_pagination"}


async def test_the_total_of_groups_counts_those_that_are_not_shown(target: Target, crowd: str) -> None:
    token = await target.token(f"list:groups!group={crowd}-05", "list:groups!group=nowhere")
    found = await target.done("GET", "/groups", headers=PAGES, token=token)
    assert [group["name"] for group in found["items"]] == [f"{crowd}-05"]
    every = await target.done("GET", "/groups", headers=PAGES)
    assert found["_pagination"]["total"] == every["_pagination"]["total"] > HERE


async def test_routes_come_in_pages_too(target: Target) -> None:
    first = await target.done("GET", "/proxy?limit=1", headers=PAGES)
    assert list(first["items"]) == ["/"]
    page = first["_pagination"]
    assert page["total"] >= 2  # the hub, and the service that has a page
    assert (page["next"]["offset"], page["next"]["limit"]) == (1, 1)


async def test_services_never_come_in_pages(target: Target) -> None:
    found = await target.done("GET", "/services?limit=1", headers=PAGES)
    assert {"contract", "plain", "web"} <= set(found) and "_pagination" not in found
