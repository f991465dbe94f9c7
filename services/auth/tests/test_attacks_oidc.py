"""Cookies that a neighbour on the host has planted beside those of a login that is under way elsewhere."""

import pytest
from openid_round import LOGIN, of_double

from hubbub_auth.testing import House


@pytest.mark.parametrize(
    "planted",
    ["hubbub-login-a@b=x", "hubbub-login-a/b:c=x", "hubbub-login-=x", "hubbub-login-{}[]=x", "hubbub-login-\u00e9=x"],
)
async def test_a_planted_cookie_keeps_nobody_from_logging_in(house: House, double, planted):
    """Not one with a name, either, that cannot be given back to a browser to be forgotten."""
    browser = await house.browser(config=of_double(double))
    answer = await browser.get(LOGIN, headers={"Cookie": planted})
    assert answer.status == 302, answer.text
    assert "state=" in answer.location
