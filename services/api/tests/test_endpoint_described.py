"""How an endpoint's declaration, its handler and its Structs become an operation of the OpenAPI document."""

from typing import Annotated, Any

import msgspec
import pytest
from aiohttp import web
from msgspec import UNSET, Meta, UnsetType

from hubbub_api import openapi
from hubbub_api.endpoint import Endpoints
from hubbub_api.schemas import Paged, Paging, some_of


class Thing(msgspec.Struct, kw_only=True):
    """A thing."""

    kind: str = "thing"
    name: str
    size: int | UnsetType = UNSET
    parts: list["Thing"] = []


class NewThing(msgspec.Struct, kw_only=True):
    """A thing to be."""

    size: Annotated[int, Meta(ge=1, le=9)] | None = None


class Things(Paging, kw_only=True):
    """Which things."""

    shape: Annotated[str, Meta(description="Round or not.")] | None = None


async def handler(_: web.Request) -> web.Response:
    """Does it, e.g. now. And
    more."""
    return web.Response()


def described(method: str = "GET", path: str = "/things/{thing}/parts/{name:[^/]*}", **about: Any) -> Any:
    table = Endpoints("things")
    table.route(method, path, **about)(handler)
    document = openapi.document([table], "/b/hub/")
    assert document["servers"] == [{"url": "/b/hub/api"}]
    [operations] = document["paths"].values()
    return operations[method.lower()], document["components"]["schemas"]


def test_words_come_from_the_handler():
    operation, _ = described(scopes=("a", "b"))
    assert operation["summary"] == "Does it, e.g. now"
    assert operation["description"] == "And more.\n\nNeeds one of the scopes `a`, `b`."
    assert [(each["name"], each["in"], each["required"]) for each in operation["parameters"]] == [
        ("thing", "path", True),
        ("name", "path", True),
    ]
    assert operation["operationId"] == "get_things_thing_parts_name"


def test_an_answer_has_what_cannot_be_left_out():
    operation, schemas = described(answers={200: Thing, 409: None})
    assert operation["responses"]["200"]["content"]["application/json"]["schema"] == {"$ref": openapi_of("Thing")}
    assert operation["responses"].keys() == {"200", "400", "403", "404", "409", "413", "503"}
    assert schemas["Thing"] == {
        "description": "A thing.",
        "type": "object",
        "properties": {
            "kind": {"type": "string"},
            "name": {"type": "string"},
            "size": {"type": "integer"},
            "parts": {"type": "array", "items": {"$ref": openapi_of("Thing")}},
        },
        "required": ["kind", "name", "parts"],
    }


def openapi_of(name: str) -> str:
    return f"#/components/schemas/{name}"


@pytest.mark.parametrize(
    ("body", "required"),
    [(NewThing, False), (some_of(NewThing), True), (Thing, True), (NewThing | dict[str, Any], False)],
)
def test_a_body_is_closed_and_required_if_an_empty_one_is_refused(body, required):
    operation, schemas = described("POST", body=body)
    assert operation["requestBody"]["required"] is required
    [closed] = schemas.keys() - {"Error"}
    assert schemas[closed]["additionalProperties"] is False
    assert operation["parameters"][-1] == {"$ref": "#/components/parameters/Idempotency-Key"}
    assert "422" in operation["responses"]


def test_a_query_becomes_parameters():
    operation, _ = described(path="/things", query=Things)
    offset, limit, shape = operation["parameters"]
    assert (offset["schema"], limit["schema"]) == ({"type": "integer", "default": 0}, {"type": "integer"})
    assert shape == {
        "name": "shape",
        "in": "query",
        "required": False,
        "description": "Round or not.",
        "schema": {"type": "string"},
    }


@pytest.mark.parametrize("always", [True, False])
def test_a_list_comes_bare_or_in_its_envelope(always):
    kind: Any = Paged[list[Thing]] if always else list[Thing]
    operation, _ = described(path="/things", query=Things, answers={200: kind})
    content = operation["responses"]["200"]["content"]
    bare = {"type": "array", "items": {"$ref": openapi_of("Thing")}}
    wrapped = {
        "type": "object",
        "properties": {"items": bare, "_pagination": {"$ref": openapi_of("Pagination")}},
        "required": ["items", "_pagination"],
    }
    if always:
        assert content == {"application/json": {"schema": wrapped}}
    else:
        assert content["application/json"]["schema"] == {"anyOf": [bare, wrapped]}
        assert content["application/jupyterhub-pagination+json"]["schema"] == wrapped


def test_an_open_endpoint_asks_for_nothing():
    operation, _ = described("POST", open=True)
    assert operation["security"] == []
    assert operation["responses"].keys() == {"200", "400"}


def test_two_shapes_of_one_name_are_a_mistake():
    other = msgspec.defstruct("Thing", [("colour", str)])
    with pytest.raises(ValueError, match="called Thing"):
        described(answers={200: Thing, 201: other})
