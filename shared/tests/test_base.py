"""Routes below a base URL of any characters."""

import pytest
from aiohttp import web

from hubbub.web.base import placed, rest_of, stand_in

ODD = "/j%C3%BC%20lab/@x/"


@pytest.mark.parametrize(
    ("path", "base", "rest"),
    [
        ("/hub/login", "/", "hub/login"),
        ("/lab/hub/", "/lab/", "hub/"),
        ("/l%61b/hub/", "/lab/", "hub/"),
        ("/lab", "/lab/", None),
        ("/laboratory/hub/", "/lab/", None),
        (f"{ODD}hub/a%2Fb", ODD, "hub/a%2Fb"),
        ("/j%c3%bc%20lab/%40x/hub/%c3", ODD, "hub/%c3"),
        (ODD, ODD, ""),
        ("/j%C3%BC%20lab%2F@x/hub/", ODD, None),
        ("/j%25C3%25BC%2520lab/@x/hub/", ODD, None),
        ("/j%C3%BC%20lab/../@x/hub/", ODD, None),
        ("//j%C3%BC%20lab/@x/", ODD, None),
        ("/j~C3~BC~20lab/@x/hub/", ODD, None),
        ("/", ODD, None),
    ],
)
def test_what_follows_the_base_url(path: str, base: str, rest: str | None) -> None:
    assert rest_of(path, base) == rest


async def _nothing(_: web.Request) -> web.Response:
    return web.Response()


def test_routes_are_added_below_the_stand_in() -> None:
    [inside, outside] = placed([web.get(f"{ODD}hub/{{name}}", _nothing), web.get("/x%20y", _nothing)], f"{ODD}hub/")
    assert (inside.path, inside.method) == ("/j~C3~BC~20lab/@x/hub/{name}", "GET")
    assert outside.path == "/x%20y"
    assert stand_in("/lab/") == "/lab/"
