"""The configured authenticator's say in starts and stops, whoever's class it is, and whoever's the spawner."""

import subprocess
import sys
from typing import ClassVar

import pytest
from jupyterhub.auth import DummyAuthenticator as JupyterHubsDummy
from jupyterhub.auth import PAMAuthenticator as JupyterHubsPAM
from traitlets.config import Config

from hubbub.domain.server_states import Running, Stopped
from hubbub_auth.authenticators import DummyAuthenticator, PAMAuthenticator
from hubbub_spawner_worker.authenticators import Unmade, authenticator_of, may_have_a_say

PAM = {"PAMAuthenticator": {"open_sessions": True}}


class Greets(DummyAuthenticator):
    """An operator's own."""

    seen: ClassVar[list[str]] = []

    async def pre_spawn_start(self, user, spawner):
        self.seen.append(f"in {user.name} {spawner.authenticator is self}")

    def post_spawn_stop(self, user, spawner):
        self.seen.append(f"out {user.name}")


class Refuses(Greets):
    def pre_spawn_start(self, user, spawner):
        raise RuntimeError("not today")


class Sessions(PAMAuthenticator):
    """Nothing of its own in the way of hooks."""


class Breaks(Greets):
    made = 0

    def __init__(self, **given):
        type(self).made += 1
        if self.made == 1:
            raise RuntimeError("no connection")
        super().__init__(**given)


@pytest.mark.parametrize(
    ("wanted", "config", "kind"),
    [
        ("dummy", {}, None),
        ("hubbub-ldap", {}, None),
        ("jupyterhub.auth.DummyAuthenticator", {}, None),
        (DummyAuthenticator, {}, None),
        (JupyterHubsDummy, {}, None),
        ("hubbub_auth.authenticators.dummy.DummyAuthenticator", {}, None),
        ("pam", {}, None),
        ("PAM", PAM, JupyterHubsPAM),
        ("default", PAM, JupyterHubsPAM),
        ("jupyterhub.auth.PAMAuthenticator", PAM, JupyterHubsPAM),
        ("pam", {"LocalAuthenticator": {"open_sessions": True}}, JupyterHubsPAM),
        (JupyterHubsPAM, {}, None),
        (JupyterHubsPAM, PAM, JupyterHubsPAM),
        (PAMAuthenticator, {}, None),
        (PAMAuthenticator, PAM, PAMAuthenticator),
        (Sessions, {}, None),
        (Sessions, PAM, Sessions),
        (Greets, {}, Greets),
        ("no.such.module.Authenticator", {}, None),
        (None, {}, None),
    ],
)
def test_who_has_a_say(wanted, config, kind):
    found = authenticator_of(wanted, Config(config))
    assert (type(found) if found is not None else None) is kind


def test_a_class_that_needs_no_hooks_costs_no_import():
    """Neither of JupyterHub nor of the auth service."""
    code = """
import sys
from traitlets.config import Config
import hubbub_spawner_worker.hosting
from hubbub_spawner_worker.authenticators import may_have_a_say
for name in ("pam", "dummy", "hubbub-oidc", "jupyterhub.auth.PAMAuthenticator"):
    assert not may_have_a_say(name, Config()), name
assert not {"jupyterhub", "hubbub_auth", "pamela"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


async def test_hooks_of_our_classes_are_called_around_our_spawners(api, hire):
    Greets.seen.clear()
    await hire(authenticator=Greets)
    await api.start("s1")
    await api.until_is("s1", Running)
    assert Greets.seen == ["in ada True"]
    await api.stop("s1")
    await api.until_is("s1", Stopped)
    assert Greets.seen == ["in ada True", "out ada"]


async def test_a_hook_that_says_no_fails_the_start(api, hire):
    await hire(authenticator=Refuses)
    await api.start("s1")
    failure = (await api.until_is("s1", Stopped)).failure
    assert "not today" in failure.message


async def test_no_start_goes_on_without_hooks_and_the_next_tries_again(api, hire):
    Breaks.made = 0
    await hire(authenticator=Breaks)
    await api.start("s1")
    failure = (await api.until_is("s1", Stopped)).failure
    assert "no connection" in failure.message
    await api.start("s1")
    await api.until_is("s1", Running)
    await api.stop("s1")
    await api.until_is("s1", Stopped)


def test_one_that_cannot_be_made_says_so():
    Breaks.made = 0
    assert isinstance(authenticator_of(Breaks, Config()), Unmade)
    assert may_have_a_say(Breaks, Config())
