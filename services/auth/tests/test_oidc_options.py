"""What the sections of logins elsewhere may say."""

import pytest
from openid_double import SECRET
from openid_round import at_provider, begin, config, log_in, of_double
from traitlets.config import Config

from hubbub.config import ConfigError, Options
from hubbub_auth.authenticators import configured
from hubbub_auth.authenticators.oidc.openid import _names
from hubbub_auth.authenticators.oidc.witness import found
from hubbub_auth.testing import House

OIDC = {"issuer": "https://login.example", "client_id": "hub"}


def made(kind: str = "hubbub-oidc", **section):
    return configured.make(Options(Config(config(kind, section))))


WRONG = [
    ({"client_id": ""}, "client_id is not set"),
    ({"issuer": ""}, "issuer is not set"),
    ({"issuer": "http://login.example"}, "an address with https"),
    ({"issuer": "login.example"}, "an address with https"),
    ({"issuer": "https://login.example?x"}, "an address with https"),
    ({"issuer": "https://user@login.example"}, "an address with https"),
    ({"scope": ["profile"]}, "scope has to have 'openid'"),
    ({"scope": []}, "scope has to have 'openid'"),
    ({"extra_authorize_params": {"state": "x"}}, "state, which the hub sets itself"),
    ({"extra_authorize_params": {"code_challenge_method": "plain"}}, "code_challenge_method, which"),
    ({"callback_path": "../x"}, "callback_path is '../x'"),
    ({"callback_path": ""}, "callback_path is ''"),
    ({"timeout": 0}, "timeout is more than 0"),
    ({"timeout": 300}, "at most 30"),
    ({"token_endpoint_auth_method": "private_key_jwt"}, "token_endpoint_auth_method"),
    ({"userinfo": "sometimes"}, "userinfo"),
    ({"ca_certs": "/no/such/file"}, "ca_certs: '/no/such/file' cannot be read"),
]


@pytest.mark.parametrize(("section", "named"), WRONG)
def test_what_cannot_be_meant_is_named(section, named):
    with pytest.raises(ConfigError) as error:
        made(**(OIDC | section))
    assert named in str(error.value)


def test_a_secret_of_the_wrong_type_is_not_repeated():
    with pytest.raises(ConfigError) as error:
        made(**OIDC, client_secret=123456789)
    assert "123456789" not in str(error.value)


def test_github_wants_an_address_too():
    with pytest.raises(ConfigError, match="github_url is"):
        made("hubbub-github", client_id="hub", github_url="ftp://github.com")
    enterprise = made("hubbub-github", client_id="hub", github_url="https://git.example/")
    assert enterprise.github_api == "https://git.example/api/v3"
    assert made("hubbub-github", client_id="hub").github_api == "https://api.github.com"


CLAIMS = {"a": {"b": {"c": ["x"]}, "d": 1}, "https://ns.example/groups": ["y"], "a.b": "dotted"}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("a.b.c", ["x"]),
        ("a.b", "dotted"),
        ("https://ns.example/groups", ["y"]),
        ("a.d.e", None),
        ("b", None),
        ("", None),
    ],
)
def test_a_claim_is_found_by_its_name_or_by_a_path(path, value):
    assert found(CLAIMS, path) == value


@pytest.mark.parametrize(
    ("value", "names"),
    [(["b", "a"], ["a", "b"]), ("one", ["one"]), (["/x", "x", 1, None], ["x"]), ({"a": 1}, []), (None, []), (7, [])],
)
def test_groups_are_a_list_of_names_or_one(value, names):
    assert _names(value) == names


async def user(house: House):
    return await (await house.pool()).fetchrow("select * from users")


async def test_names_are_mapped_as_from_a_form(house: House, double):
    section = of_double(double, username_map={"ada": "countess"}, admin_users={"countess"})
    assert (await log_in(await house.browser(config=section))).status == 302
    row = await user(house)
    assert (row["name"], row["admin"]) == ("countess", True)


@pytest.mark.parametrize(
    "section",
    [
        {"blocked_users": {"ada"}},
        {"allowed_users": {"eve"}},
        {"username_pattern": "x.*"},
        {"admin_groups": {"x"}, "allow_all": False},
    ],
)
async def test_whoever_may_not_is_refused(house: House, double, section):
    answer = await log_in(await house.browser(config=of_double(double, **section)))
    assert (answer.status, "You may not log in here" in answer.text) == (403, True)
    assert await user(house) is None


@pytest.mark.parametrize("claim", ["../../x", "a/b", "", " ", "x\ny", 7, None, ["ada"], {"ada": 1}, "\u212aelvin"])
async def test_a_name_that_cannot_be_one_is_refused(house: House, double, claim):
    double.people["s-ada"]["preferred_username"] = claim
    answer = await log_in(await house.browser(config=of_double(double)))
    assert answer.status == 403
    assert await user(house) is None


async def test_an_address_that_is_not_verified_is_no_name(house: House, double):
    double.people["s-ada"] |= {"email": "ada@example.org", "email_verified": False}
    browser = await house.browser(config=of_double(double, username_claim="email"))
    answer = await log_in(browser)
    assert (answer.status, "not verified" in answer.text) == (403, True)
    double.people["s-ada"]["email_verified"] = True
    assert (await log_in(browser)).status == 302
    assert (await user(house))["name"] == "ada@example.org"


async def test_the_name_may_be_the_subject(house: House, double):
    assert (await log_in(await house.browser(config=of_double(double, username_claim="sub")))).status == 302
    assert (await user(house))["name"] == "s-ada"
    assert double.asked.count("userinfo") == 0


async def test_userinfo_is_asked_for_what_the_id_token_lacks(house: House, double):
    double.not_in_id_token = {"preferred_username"}
    assert (await log_in(await house.browser(config=of_double(double)))).status == 302
    assert double.asked.count("userinfo") == 1
    answer = await log_in(await house.browser(config=of_double(double, userinfo="never")))
    assert answer.status == 403


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
@pytest.mark.parametrize("is_said", [True, False])
async def test_the_hub_proves_itself_as_the_provider_likes_it(house: House, double, method, is_said):
    """The double takes both; what was sent is looked at."""
    double.metadata_twist = {"token_endpoint_auth_methods_supported": ["none"] if is_said else [method]}
    section = {"token_endpoint_auth_method": method} if is_said else {}
    assert (await log_in(await house.browser(config=of_double(double, **section)))).status == 302
    assert (double.grants[0].get("client_secret") == SECRET) is (method == "client_secret_post")


async def test_more_can_be_asked_for(house: House, double):
    section = {"scope": ["openid", "groups"], "extra_authorize_params": {"prompt": "login"}}
    url = await begin(await house.browser(config=of_double(double, **section)))
    assert "scope=openid+groups" in url or "scope=openid%20groups" in url
    assert "prompt=login" in url


async def test_the_way_back_may_have_another_name(house: House, double):
    browser = await house.browser(config=of_double(double, callback_path="oauth_callback"))
    back = await at_provider(await begin(browser))
    assert back.startswith("/hub/oauth_callback?")
    assert (await browser.get(back)).status == 302


async def test_a_hub_with_a_public_address_and_a_prefix(house: House, double):
    section = of_double(double)
    section["JupyterHub"] |= {"bind_url": "http://:8000/b/", "public_url": "https://hub.example/b/"}
    browser = await house.browser(config=section)
    there = await begin(browser, "/b/hub/oidc_login")
    assert "redirect_uri=https%3A%2F%2Fhub.example%2Fb%2Fhub%2Foidc_callback" in there


async def test_without_a_click(house: House, double):
    browser = await house.browser(config=of_double(double, auto_login=True))
    answer = await browser.get("/hub/login?next=/hub/x")
    assert (answer.status, answer.location) == (302, "/hub/oidc_login?next=%2Fhub%2Fx")
    assert (await log_in(browser, answer.location)).location == "/hub/x"
    assert (await browser.get("/hub/logout")).status == 200  # a page, else they would be logged in again at once


async def test_a_logout_needs_no_way_out_of_the_provider(house: House, double):
    section = {"logout_at_provider": True}
    browser = await house.browser(config=of_double(double, **section))
    await log_in(browser)
    assert (await browser.get("/hub/logout")).location == f"{double.issuer}/logout?client_id=hub"
    double.metadata_twist = {"end_session_endpoint": ""}
    browser = await house.browser(config=of_double(double, **section))
    await log_in(browser)
    assert (await browser.get("/hub/logout")).location == "/hub/login"


async def test_an_operators_own_class_may_say_more(house: House, double):
    from hubbub_auth.authenticators.oidc import OIDCAuthenticator

    class Mine(OIDCAuthenticator):
        async def authenticate(self, handler, data):
            model = await super().authenticate(handler, data)
            return model | {"name": f"x-{model['name']}"}

    section = of_double(double)
    section["JupyterHub"]["authenticator_class"] = Mine
    assert (await log_in(await house.browser(config=section))).status == 302
    assert (await user(house))["name"] == "x-ada"
