"""What operators' code sees of a request: as a tornado handler shows it."""

import sys

import pytest

from hubbub.as_in_tornado import Handler, MissingArgument, files_of
from hubbub.form_messages import File, WebRequest
from hubbub.rpc import Person

ADA = Person(id="p", number=1, name="ada", admin=False)


def handler(query="", body=None, files=None, **more):
    said = {"method": "POST", "path": "/hub/spawn/ada", "host": "hub.example:8000", "protocol": "https", **more}
    sent = WebRequest(user=ADA, query=query, body=body or {}, remote_ip="10.0.0.1", **said)
    return Handler(sent, "the asker", files_of(files or {}))


def test_arguments_of_the_address_and_of_the_form():
    made = handler("a=1&a=+2+&empty=&b=%C3%BC", {"a": ["3"], "c": ["x", "y"]})
    assert made.get_argument("a") == "3"
    assert made.get_arguments("a") == ["1", "2", "3"]
    assert made.get_query_argument("a") == "2"
    assert made.get_query_argument("a", strip=False) == " 2 "
    assert made.get_query_arguments("b") == ["ü"]
    assert made.get_query_argument("empty") == ""
    assert made.get_body_argument("c") == "y"
    assert made.get_body_arguments("c") == ["x", "y"]
    assert made.get_body_arguments("b") == []
    assert made.get_argument("none", None) is None
    assert made.get_argument("none", default="x") == "x"
    assert handler(body={"a": ["x\x00y"]}).get_argument("a") == "x y"


def test_a_missing_argument_is_the_clients_mistake_in_tornados_way_if_there_is_tornado(monkeypatch):
    monkeypatch.delitem(sys.modules, "tornado.web", raising=False)
    with pytest.raises(MissingArgument, match="Missing argument a") as found:
        handler().get_argument("a")
    assert (found.value.status_code, found.value.arg_name) == (400, "a")
    import tornado.web

    monkeypatch.setitem(sys.modules, "tornado.web", tornado.web)
    with pytest.raises(tornado.web.MissingArgumentError):
        handler().get_query_argument("a")


def test_the_request_itself():
    made = handler(
        "a=1",
        {"a": ["2"]},
        {"f": [File(filename="n", content_type="t", body=b"x")]},
        headers=(("x-Some", "1"), ("X-some", "2")),
    )
    request = made.request
    assert (request.method, request.uri, request.path, request.query) == (
        "POST", "/hub/spawn/ada?a=1", "/hub/spawn/ada", "a=1",
    )  # fmt: skip
    assert (request.host, request.host_name, request.protocol, request.remote_ip) == (
        "hub.example:8000", "hub.example", "https", "10.0.0.1",
    )  # fmt: skip
    assert request.full_url() == "https://hub.example:8000/hub/spawn/ada?a=1"
    assert (request.arguments, request.query_arguments, request.body_arguments) == (
        {"a": [b"1", b"2"]}, {"a": [b"1"]}, {"a": [b"2"]},
    )  # fmt: skip
    assert request.headers["X-SOME"] == "1,2"
    assert request.headers.get_list("x-some") == ["1", "2"]
    assert request.headers.get("Cookie", "-") == "-"
    assert list(request.headers) == ["X-Some"]
    [file] = request.files["f"]
    assert (file.body, file["filename"], file.content_type) == (b"x", "n", "t")
    assert (made.current_user, made.get_cookie("session"), request.cookies) == ("the asker", None, {})
    assert handler(host="[::1]:80").request.host_name == "[::1]"
    assert handler(host="hub").request.host_name == "hub"


def test_a_file_has_no_other_attributes():
    with pytest.raises(AttributeError, match="size"):
        _ = files_of({"f": [File(filename="n", content_type="t", body=b"")]})["f"][0].size
