"""JupyterHub's own PAMAuthenticator, with real UNIX accounts."""

from collections.abc import Iterator

import pytest
from rigs.accounts import accounts
from rigs.ground import Ground

from login_suite import CAST, RIGHT, Kind, LoginSuite

pytestmark = pytest.mark.system

CONFIG = """
from jupyterhub.auth import PAMAuthenticator

c.JupyterHub.authenticator_class = PAMAuthenticator
c.PAMAuthenticator.open_sessions = True
"""


class TestPam(LoginSuite):
    @pytest.fixture(scope="class")
    @classmethod
    def kind(cls, open_ground: Ground) -> Iterator[Kind]:
        with accounts((*CAST, "grace"), RIGHT) as made:
            yield Kind(config=CONFIG, prefix=made.prefix)
