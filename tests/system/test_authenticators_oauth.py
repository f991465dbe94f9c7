"""oauthenticator, unmodified: Generic with a real OpenID Connect provider, GitHub with a stand-in of its API."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from rigs.github import GithubRig, github_rig

from browser import Browser
from login_abilities import Keeping, Managing, Refreshing, Regrouping
from login_suite import WRONG, Door, Kind, LoginSuite, identity_of
from oidc_provider import at_provider, to_the_provider

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="class")]

GENERIC = """
c.JupyterHub.authenticator_class = "generic-oauth"
c.GenericOAuthenticator.client_id = "hub"
c.GenericOAuthenticator.client_secret = "secret-of-the-hub-at-the-provider"
c.GenericOAuthenticator.authorize_url = "{issuer}/oauth2/authorize"
c.GenericOAuthenticator.token_url = "{issuer}/oauth2/token"
c.GenericOAuthenticator.userdata_url = "{issuer}/userinfo"
c.GenericOAuthenticator.scope = ["openid", "profile"]
c.GenericOAuthenticator.username_claim = "sub"
c.GenericOAuthenticator.auth_state_groups_key = "oauth_user.groups"
c.OAuthenticator.allow_existing_users = True
c.Authenticator.manage_groups = True
c.Authenticator.enable_auth_state = True
c.Authenticator.auth_refresh_age = 1
"""


class TestGeneric(Refreshing, Managing, Regrouping, Keeping, LoginSuite):
    @pytest_asyncio.fixture(scope="class", loop_scope="class")
    @classmethod
    async def kind(cls) -> AsyncIterator[Kind]:
        async with at_provider(GENERIC) as kind:
            yield kind

    async def test_a_state_is_good_for_the_browser_that_began(self, door: Door):
        """Somebody else's answer of the provider logs nobody in."""
        async with door.browser() as browser, door.browser() as victim:
            page = await to_the_provider(browser, "/hub/home")
            back = await browser.pressed(page, {"sub": "ada"})
            status, page = await victim.get(back)
            assert status in (400, 403), page
            assert await identity_of(victim) is None
            status, page = await browser.get(back)
            assert (status, browser.url.path) == (200, "/hub/home"), page


GITHUB = """
from oauthenticator.github import GitHubOAuthenticator

c.JupyterHub.authenticator_class = GitHubOAuthenticator
c.GitHubOAuthenticator.github_url = "{url}"
c.GitHubOAuthenticator.client_id = "hub"
c.GitHubOAuthenticator.client_secret = "secret-of-the-hub-at-github"
c.GitHubOAuthenticator.scope = ["read:org", "user:email"]
c.GitHubOAuthenticator.allowed_organizations = {{"stars"}}
c.GitHubOAuthenticator.populate_teams_in_auth_state = True
c.GitHubOAuthenticator.auth_state_groups_key = lambda state: [team["organization"]["login"] for team in state["teams"]]
c.OAuthenticator.allow_existing_users = True
c.Authenticator.manage_groups = True
c.Authenticator.enable_auth_state = True
c.Authenticator.auth_refresh_age = 1
"""


async def at_github(browser: Browser, page: str, name: str, password: str) -> tuple[int, str]:
    """Who has the wrong password thinks better of it."""
    return await browser.send(page, {"deny": "1"} if password == WRONG else {"login": name})


def kind_of(config: str, rig: GithubRig) -> Kind:
    rig.regroup("gus", ["crew", "staff"])
    rig.regroup("vera", ["stars"])
    return Kind(
        config=config.format(url=rig.url),
        begin=to_the_provider,
        finish=at_github,
        refused=(400, 403),
        revoke=lambda _, name: rig.revoke(name),
        regroup=lambda _, name, groups: rig.regroup(name, groups),
        secret="gho_",
    )


class Github(Refreshing, Managing, Regrouping, Keeping, LoginSuite):
    """By a stand-in of GitHub."""

    async def test_members_of_an_organization_are_allowed(self, door: Door):
        async with door.browser() as browser:
            await door.let_in(browser, "vera")
            identity = await identity_of(browser)
            assert identity is not None and identity["groups"] == ["stars"]


class TestGithub(Github):
    @pytest.fixture(scope="class")
    @classmethod
    def kind(cls) -> Iterator[Kind]:
        with github_rig(team="all") as rig:
            yield kind_of(GITHUB, rig)


OURS = """
c.JupyterHub.authenticator_class = "hubbub-github"
c.GitHubAuthenticator.github_url = "{url}"
c.GitHubAuthenticator.client_id = "hub"
c.GitHubAuthenticator.client_secret = "secret-of-the-hub-at-github"
c.GitHubAuthenticator.allowed_organizations = {{"stars"}}
c.Authenticator.manage_groups = True
c.Authenticator.enable_auth_state = True
c.Authenticator.auth_refresh_age = 1
"""


class TestOurGithub(Github):
    """Ours, at the same place."""

    @pytest.fixture(scope="class")
    @classmethod
    def kind(cls) -> Iterator[Kind]:
        with github_rig() as rig:
            yield kind_of(OURS, rig)
