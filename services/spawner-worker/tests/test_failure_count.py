"""`consecutive_failure_limit`: what counts, and when it is met."""

import pytest

from hubbub_spawner_worker.failures import Failures, is_error
from hubbub_spawner_worker.spawners import SpawnException


class HttpError(Exception):
    def __init__(self, status):
        self.status_code = status


@pytest.mark.parametrize(
    ("limit", "outcomes", "exceeded"),
    [
        (0, "xxxxx", False),
        (3, "xx", False),
        (3, "xxx", True),
        (3, "xxxx", True),
        (3, "xx.xx", False),
        (3, "xx.xxx", True),
        (1, "", False),
        (1, "x", True),
        (1, "x.", False),
    ],
)
def test_only_failures_in_a_row_count(limit, outcomes, exceeded):
    failures = Failures(limit)
    for outcome in outcomes:
        failures.note_error() if outcome == "x" else failures.note_success()
    assert failures.exceeded is exceeded


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (RuntimeError("no"), True),
        (TimeoutError(), True),
        (HttpError(500), True),
        (HttpError(400), False),
        (SpawnException("no", reason="policy"), False),
        (SpawnException("no", reason="full", status_code=503), False),
    ],
)
def test_what_is_refused_on_purpose_is_no_failure(error, answer):
    assert is_error(error) is answer


def test_jupyterhubs_own_refusals_are_known():
    from jupyterhub.spawner import SpawnException as Theirs
    from tornado.web import HTTPError

    assert not is_error(Theirs("no", reason="full", status_code=503))
    assert not is_error(HTTPError(403))
    assert is_error(HTTPError(502))
