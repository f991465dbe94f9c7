"""What people are told of what operators' code has raised."""

import pytest
from tornado.web import HTTPError

from hubbub_spawner_worker.refusals import is_meant, refusal_of
from hubbub_spawner_worker.spawners.exception import SpawnException


class Beautiful(Exception):
    jupyterhub_message = "plainly"
    jupyterhub_html_message = "<b>so</b>"


class Told(HTTPError):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.headers = {"Retry-After": 7}


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (ValueError("size must be 1 or 2"), 400, "size must be 1 or 2"),
        (RuntimeError(), 400, "RuntimeError"),
        (KeyError("size"), 400, "KeyError: 'size'"),
        (TypeError("no"), 400, "TypeError: no"),
        (Beautiful("else"), 400, "plainly"),
        (SpawnException("not today", reason="policy", status_code=403), 403, "not today"),
        (HTTPError(418, "%s is %d%% full", "disk", 99), 418, "disk is 99% full"),
        (HTTPError(409, "99% full"), 409, "99% full"),
        (HTTPError(409, "no %d", "number"), 409, "no %d"),
        (HTTPError(409, reason="Teapot"), 409, "Teapot"),
        (HTTPError(302, "moved"), 400, "moved"),
    ],
    ids=repr,
)
def test_a_status_and_words(error, status, message):
    found = refusal_of(error, 400)
    assert (found.status, found.message) == (status, message)


def test_html_and_headers_are_handed_on():
    assert refusal_of(Beautiful(), 400).html == "<b>so</b>"
    assert refusal_of(SpawnException("a", reason="b", message_html="<i>a</i>"), 400).html == "<i>a</i>"
    assert refusal_of(Told(503, "later"), 400).headers == {"Retry-After": "7"}


def test_what_was_raised_on_purpose_is_no_mistake():
    assert [is_meant(error) for error in (ValueError(), HTTPError(400), Beautiful(), KeyError("x"), OSError())] == [
        True,
        True,
        True,
        False,
        False,
    ]


def as_jupyterhub_does():
    try:
        raise ValueError("no such image")
    except ValueError:
        raise HTTPError(400, "Invalid user options")  # noqa: B904


def test_what_jupyterhub_keeps_to_itself_of_user_options_is_said():
    with pytest.raises(HTTPError) as found:
        as_jupyterhub_does()
    assert refusal_of(found.value, 500).message == "Invalid user options: no such image"
