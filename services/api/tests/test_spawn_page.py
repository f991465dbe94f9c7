"""The page that starts a server: with an options form, with options in its address, and when they are no good."""

import re

import msgspec
import pytest
from aiohttp import FormData
from traitlets.config import Config

from hubbub.config import Options
from hubbub.form_messages import FormAnswered, FormRefusal, WebRequest
from hubbub_api.forms import NoWorker, TooLarge

FORM = '<input name="size"><script>pick()</script>'
SHOWN = FormAnswered(html=FORM)
PENDING = "/hub/spawn-pending/ada"


@pytest.fixture
def options(request) -> Options:
    """Of a hub whose Spawner is the operator's own."""
    hub = {"allow_named_servers": True, "spawner_class": "their.Spawner", **getattr(request, "param", {})}
    return Options(Config({"JupyterHub": hub, "Hubbub": {"slow_spawn_timeout": 0}}))


@pytest.fixture
async def ada(house):
    await house.person("ada")
    house.forms.says = {"form": SHOWN}
    return house


def has_form(page: str) -> bool:
    """Whether the operator's form is there, each of its scripts with the nonce of this page."""
    return FORM in re.sub(r' nonce="[^"]+"', "", page)


def going(answer):
    return answer.status, answer.headers.get("Location", "")


async def post(house, path="/hub/spawn", fields=None, **more):
    data = FormData({"_xsrf": house.xsrf("ada"), **(fields or {})}, default_to_multipart=True)
    for name, value, filename in more.pop("files", []):
        data.add_field(name, value, filename=filename, content_type="application/octet-stream")
    return await house.ask(path, "ada", "POST", data=data, **more)


async def kept(house, kind, name=""):
    """What the vault has about ada's server."""
    row = await house.views.server("ada", name)
    value = await house.pool.fetchval("select value from vault where key = $1", f"{kind}:{row.id}")
    vault = house.views._vault
    return msgspec.json.decode(vault.open_bytes(row.user_id, value)) if value else None


async def test_where_there_is_a_form_a_link_shows_it_as_the_operator_wrote_it(ada):
    answer = await ada.ask("/hub/spawn/ada?next=/user/ada/x", "ada")
    page = await answer.text()
    assert answer.status == 200
    assert has_form(page)
    assert 'action="/hub/spawn/ada?next=/user/ada/x" enctype="multipart/form-data"' in page
    assert await ada.views.server("ada", "") is None
    policy = answer.headers["Content-Security-Policy"]
    [nonce] = set(re.findall(r'<script nonce="([^"]+)"', await answer.text()))
    assert f"script-src 'self' 'nonce-{nonce}';" in policy
    assert "frame-ancestors 'none'" in policy
    again = await ada.ask("/hub/spawn/ada?next=/user/ada/x", "ada")
    assert nonce not in again.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "options", [{"tornado_settings": {"headers": {"content-security-policy": "mine"}}}], indirect=True
)
async def test_the_operators_own_policy_holds_for_their_forms_too(ada):
    assert (await ada.ask("/hub/spawn", "ada")).headers["Content-Security-Policy"] == "mine"


async def test_the_worker_hears_whose_server_it_is_and_of_the_browser_but_none_of_its_secrets(ada):
    secret = {"Authorization": "Basic x", "X-XSRFToken": "t", "X-Hubbub-Forward": "key", "X-Remote-User": "ada"}
    await ada.ask("/hub/spawn/ada/lab?_xsrf=secret&next=/user/ada/lab/", "ada", headers=secret)
    [asked] = ada.forms.asked
    assert (asked.kind, asked.person.name, asked.name) == ("form", "ada", "lab")
    sent = asked.request
    assert (sent.method, sent.path, sent.query) == ("GET", "/hub/spawn/ada/lab", "next=/user/ada/lab/")
    assert (sent.user.name, sent.protocol) == ("ada", "http")
    names = {name.lower() for name, _ in sent.headers}
    assert {"user-agent", "x-remote-user"} <= names
    assert not names & {"cookie", "authorization", "x-xsrftoken", "x-hubbub-forward"}


async def test_headers_as_long_as_they_may_be_do_not_fill_the_message(ada):
    await ada.ask("/hub/spawn", "ada", headers={**{f"X-Long-{n}": "x" * 8000 for n in range(9)}, "X-Short": "y"})
    sent = dict(ada.forms.asked[0].request.headers)
    assert sum(name.startswith("X-Long") for name in sent) == 1
    assert sent["X-Short"] == "y"


async def test_what_was_filled_in_becomes_the_options_of_the_start(ada):
    ada.forms.says["posted"] = FormAnswered(options={"size": 2})
    fields = [("size", "2"), ("tags", "a"), ("tags", "ü")]
    data = FormData([("_xsrf", ada.xsrf("ada")), *fields], default_to_multipart=True)
    data.add_field("notes", b"\x00\xff", filename="n.bin", content_type="application/x-notes")
    data.add_field("photo", b"", filename="", content_type="application/octet-stream")
    answer = await ada.ask("/hub/spawn", "ada", "POST", data=data)
    assert going(answer) == (302, PENDING)
    [asked] = ada.forms.asked
    assert asked.fields == {"size": ["2"], "tags": ["a", "ü"], "photo": [""]}
    [file] = asked.files["notes"]
    assert (file.filename, file.content_type, file.body) == ("n.bin", "application/x-notes", b"\x00\xff")
    assert await kept(ada, "options") == {"size": 2}
    request = msgspec.convert(await kept(ada, "request"), WebRequest)
    assert (request.method, request.body["tags"]) == ("POST", ["a", "ü"])


async def test_a_form_may_come_without_files_too(ada):
    ada.forms.says["posted"] = FormAnswered(options={})
    answer = await ada.ask("/hub/spawn", "ada", "POST", data={"_xsrf": ada.xsrf("ada"), "size": "2"})
    assert going(answer) == (302, PENDING)
    assert ada.forms.asked[0].fields == {"size": ["2"]}
    assert await kept(ada, "options") == {}


async def test_options_that_the_worker_leaves_open_are_those_of_the_last_start(ada):
    ada.forms.says["posted"] = FormAnswered(options={"size": 2})
    await post(ada, fields={"size": "2"})
    ada.forms.says["posted"] = FormAnswered()
    row = await ada.views.server("ada", "")
    stop = await ada.ask("/hub/api/users/ada/server", "", "DELETE", token=await ada.token("ada"))
    assert stop.status == 204
    assert going(await post(ada)) == (302, PENDING)
    assert ada.forms.asked[-1].options == {"size": 2}
    assert await kept(ada, "options") == {"size": 2}
    assert (await ada.views.server("ada", "")).id == row.id


async def test_a_start_by_a_program_goes_back_to_no_browser(ada):
    ada.forms.says["posted"] = FormAnswered(options={})
    await post(ada)
    assert await kept(ada, "request")
    token = await ada.token("ada")
    assert (await ada.ask("/hub/api/users/ada/server", "", "POST", token=token)).status == 202
    assert await kept(ada, "request"), "one that is on its way already goes on as it was asked for"
    assert (await ada.ask("/hub/api/users/ada/server", "", "DELETE", token=token)).status == 204
    assert (await ada.ask("/hub/api/users/ada/server", "", "POST", token=token)).status == 202
    assert await kept(ada, "request") is None


async def test_programs_need_no_form_and_may_say_nothing_or_that_there_are_none(ada):
    token, place = await ada.token("ada"), "/hub/api/users/ada/server"
    file = {"__jupyterhub_bytes__": True, "data": "AP8="}
    for body, options in (
        ({"user_options": {"size": 1, "notes": file}}, {"size": 1, "notes": file}),
        (None, {"size": 1, "notes": file}),
        ({"user_options": None}, {"size": 1, "notes": file}),
        ({"user_options": {}}, {}),
    ):
        assert (await ada.ask(place, "", "POST", token=token, json=body)).status == 202
        assert await kept(ada, "options") == options
        model = await (await ada.ask(place, token=token)).json()
        assert model["user_options"] == options
        assert (await ada.ask(place, "", "DELETE", token=token)).status == 204
    assert ada.forms.asked == []


async def test_refused_options_are_answered_in_place_in_the_spawners_words(ada):
    refused = FormRefusal(status=400, message="at most <9>", headers={"X-Told": "yes"})
    ada.forms.says["posted"] = FormAnswered(html=FORM, refused=refused)
    answer = await post(ada, "/hub/spawn?next=/user/ada/x", {"size": "10"})
    page = await answer.text()
    assert (answer.status, answer.headers["X-Told"]) == (400, "yes")
    assert "at most &lt;9&gt;" in page
    assert has_form(page)
    assert "next=%2Fuser%2Fada%2Fx" in page
    assert await ada.views.server("ada", "") is None


async def test_a_refusal_may_be_html_of_the_operators(ada):
    refused = FormRefusal(status=403, message="see docs", html="see <a href='/docs'>docs</a>")
    ada.forms.says["posted"] = FormAnswered(html=FORM, refused=refused)
    answer = await post(ada)
    assert (answer.status, "see <a href='/docs'>docs</a>" in await answer.text()) == (403, True)


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("opt-size=2&opt-tags=a&opt-tags=b&next=/x&other=1", {"size": ["2"], "tags": ["a", "b"]}),
        ("size=2&display_name=Lab&next=/x", {"size": ["2"]}),
    ],
    ids=["new style", "old style"],
)
async def test_options_in_the_address_start_at_once(ada, query, fields):
    ada.forms.says["query"] = FormAnswered(options={"size": 2})
    answer = await ada.ask(f"/hub/spawn?{query}", "ada")
    assert answer.status == 302
    assert answer.headers["Location"].startswith(f"{PENDING}?")
    assert [(asked.kind, asked.fields) for asked in ada.forms.asked] == [("query", fields)]
    assert await kept(ada, "options") == {"size": 2}


async def test_an_option_without_a_name_is_refused(ada):
    assert (await ada.ask("/hub/spawn?opt-=1", "ada")).status == 422


async def test_options_in_the_address_that_are_refused_start_nothing(ada):
    refused = FormRefusal(status=400, message="no such size")
    for form, button in ((FORM, 'id="spawn_form"'), ("", 'name="_offer"')):
        ada.forms.says["query"] = FormAnswered(html=form, refused=refused)
        answer = await ada.ask("/hub/spawn?opt-size=x", "ada")
        page = await answer.text()
        assert answer.status == 400
        assert "no such size" in page
        assert button in page
        assert 'action="/hub/spawn"' in page
    assert await ada.views.server("ada", "") is None


async def test_a_link_on_another_site_only_offers_to_start_with_its_options(ada):
    elsewhere = {"Sec-Fetch-Site": "cross-site"}
    answer = await ada.ask("/hub/spawn?opt-image=%3Cb%3E", "ada", headers=elsewhere)
    page = await answer.text()
    assert answer.status == 200
    assert "<dd>&lt;b&gt;</dd>" in page
    assert ada.forms.asked == []
    assert await ada.views.server("ada", "") is None
    ada.forms.says["query"] = FormAnswered(options={"image": "b"})
    action = re.search(r'action="([^"]*)"', page)[1]
    assert going(await post(ada, action, {"_offer": "1"})) == (302, f"{PENDING}?opt-image=%3Cb%3E")
    assert ada.forms.asked[0].fields == {"image": ["<b>"]}


async def test_without_a_form_a_link_starts_at_once_and_goes_back_to_the_browser(ada):
    ada.forms.says = {}
    assert going(await ada.ask("/hub/spawn", "ada")) == (302, PENDING)
    assert (await kept(ada, "request"))["path"] == "/hub/spawn"
    assert await kept(ada, "options") is None


async def test_a_form_that_cannot_be_made_is_the_spawners_fault_and_says_so(ada):
    ada.forms.says["form"] = FormAnswered(refused=FormRefusal(status=500, message="KeyError: 'x'"))
    answer = await ada.ask("/hub/spawn", "ada")
    assert (answer.status, "KeyError: &#39;x&#39;" in await answer.text()) == (500, True)


async def test_without_workers_the_page_says_so(ada):
    ada.forms.says = dict.fromkeys(("form", "posted", "query"), NoWorker())
    for answer in (await ada.ask("/hub/spawn", "ada"), await ada.ask("/hub/spawn?a=1", "ada"), await post(ada)):
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
        assert "No worker answers." in await answer.text()
    assert await ada.views.server("ada", "") is None


async def test_what_is_too_large_is_refused_and_the_limit_named(ada):
    ada.forms.says["posted"] = TooLarge()
    answer = await post(ada, fields={"size": "1"})
    page = await answer.text()
    assert (answer.status, "about 146 kB" in page, has_form(page)) == (413, True, True)
    answer = await post(ada, files=[("f", b"x" * 1_100_000, "big")])
    assert (answer.status, "1048576 bytes" in await answer.text()) == (413, True)


async def test_options_that_are_too_large_are_refused_and_the_limit_named(ada):
    ada.forms.says["posted"] = FormAnswered(options={"x": "y" * 140_000})
    answer = await post(ada)
    page = await answer.text()
    assert (answer.status, "131072 are allowed" in page, has_form(page)) == (400, True, True)


@pytest.mark.parametrize("options", [{"concurrent_spawn_limit": 1}], indirect=True)
async def test_a_start_that_is_refused_shows_the_form_again(ada):
    ada.forms.says["posted"] = FormAnswered(options={"size": 1})
    await post(ada, "/hub/spawn/ada/one")
    answer = await post(ada, "/hub/spawn/ada/two")
    assert (answer.status, has_form(await answer.text())) == (429, True)
    assert int(answer.headers["Retry-After"]) >= 30


async def test_a_name_that_no_server_can_have_is_refused_before_anything_is_asked(ada):
    answer = await ada.ask("/hub/spawn/ada/Not%20A%20Name", "ada")
    assert (answer.status, "Invalid server name" in await answer.text()) == (400, True)
    assert ada.forms.asked == []


async def test_a_new_server_is_shown_by_its_display_name(ada):
    ada.forms.says["posted"] = FormAnswered(options={})
    await post(ada, "/hub/spawn/ada/lab?display_name=My%20Lab", {"x": "1"})
    assert (await ada.views.server("ada", "lab")).display_name == "My Lab"


async def test_properties_of_groups_and_what_was_learnt_at_login_come_along(ada):
    await ada.settle(load_groups={"staff": {"users": ["ada"], "properties": {"gpu": True}}})
    await ada.ask("/hub/spawn", "ada")
    [asked] = ada.forms.asked
    assert (asked.person.groups, asked.groups) == (("staff",), {"staff": {"gpu": True}})


async def test_a_removed_server_leaves_no_request_behind(ada):
    ada.forms.says["posted"] = FormAnswered(options={})
    await post(ada, "/hub/spawn/ada/lab")
    token = await ada.token("ada")
    assert await ada.pool.fetchval("select count(*) from vault where key like 'request:%'") == 1
    assert (
        await ada.ask("/hub/api/users/ada/servers/lab", "", "DELETE", token=token, json={"remove": True})
    ).status == 204
    assert await ada.pool.fetchval("select count(*) from vault where key like 'request:%'") == 0


async def test_a_form_that_is_the_same_for_everybody_is_not_asked_for_again(ada):
    await ada.person("bob")
    ada.forms.says["form"] = FormAnswered(html=FORM, lasting=True)
    for who in ("ada", "bob"):
        assert has_form(await (await ada.ask("/hub/spawn", who)).text())
    assert len(ada.forms.asked) == 1
