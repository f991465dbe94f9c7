"""What the pages are made of: where they may lead, whom they suit, what is served with them."""

import re
from importlib.resources import files

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from traitlets.config import Config

from hubbub.config import Options
from hubbub.web.next_url import own_path, with_query
from hubbub.web.pages import environment
from hubbub.web.request import ApiError
from hubbub_api.pages import assets, redirects
from hubbub_api.pages.missed import redirects_so_far
from hubbub_api.pages.user_server import check_redirects, preferred


@pytest.mark.parametrize(
    ("asked", "led_to"),
    [
        ("/user/ada/tree?a=1#b", "/user/ada/tree?a=1#b"),
        ("/user/ada/a%2Fb", "/user/ada/a%2Fb"),
        ("/user/ada/a b é", "/user/ada/a%20b%20%C3%A9"),
        ("http://hub.example/user/ada", "/user/ada"),
        ("https://hub.example/user/ada?x", "/user/ada?x"),
        ("//hub.example/user/ada", "/user/ada"),
        ("////hub.example//elsewhere.example", "/elsewhere.example"),
        ("http://hub.example", "/"),
        ("", ""),
        ("home", ""),
        ("//elsewhere.example/x", ""),
        ("///elsewhere.example/x", ""),
        ("/\\elsewhere.example/x", "/%5Celsewhere.example/x"),
        ("\\\\elsewhere.example/x", ""),
        ("/\t/elsewhere.example", ""),
        ("/x\r\nSet-Cookie: a=b", ""),
        ("http://elsewhere.example/", ""),
        ("http://hub.example@elsewhere.example/", ""),
        ("http://hub.example.elsewhere.example/", ""),
        ("http:elsewhere.example", ""),
        ("http:///elsewhere.example", ""),
        ("javascript:alert(1)", ""),
        ("//[broken", ""),
        ("//", ""),
        ("/" + "x" * 5000, ""),
    ],
)
def test_next_leads_to_a_path_of_this_site_or_nowhere(asked, led_to):
    assert led_to == own_path(asked, "hub.example")


def test_a_query_is_added_before_the_fragment():
    assert with_query("/x?a=1#d", ("b", "/c")) == "/x?a=1&b=%2Fc#d"
    assert with_query("/x", ("b", "1")) == "/x?b=1"
    assert with_query("/x") == "/x"


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("text/html,application/xhtml+xml,*/*;q=0.8", "text/html"),
        ("application/json", "application/json"),
        ("application/json;q=0.5, text/html;q=0.9", "text/html"),
        ("text/html;q=0.5, application/json", "application/json"),
        ("*/*", None),
        ("", None),
        ("application/json;q=nonsense", "application/json"),
    ],
)
def test_the_kind_of_answer_is_the_one_that_is_liked_best(accept, kind):
    assert kind == preferred(accept, ("application/json", "text/html"))


@pytest.mark.parametrize(("values", "count"), [([], 0), (["2"], 2), (["x"], 0), (["-1"], 0), (["9" * 5000], 0)])
def test_redirects_are_counted_and_nonsense_is_none(values, count):
    assert count == redirects_so_far(values)


def test_a_loop_is_ended_sooner_if_versions_differ():
    check_redirects(3, "6.1.1")
    check_redirects(3, "")
    with pytest.raises(ApiError, match="Redirect loop detected"):
        check_redirects(4, "6.1.1")
    check_redirects(1, "5.0.0")
    with pytest.raises(ApiError, match=r"The server has JupyterHub 5\.0\.0"):
        check_redirects(2, "5.0.0")


def test_addresses_under_the_hub_are_never_led_into_it_again():
    outside = redirects.routes("/b/hub/")[-1].path.removeprefix("/{path:").removesuffix("}")
    for path in ("b/hub/x", "b/hub/", "b/hub"):
        assert not re.fullmatch(outside, path)
    for path in ("", "b/", "b/hubbub", "b/user/ada/hub/", "hub/"):
        assert re.fullmatch(outside, path)


@pytest.mark.parametrize("name", ["../templates/page.html", "page.html", "x.js", ".css", "STYLE.CSS", "style.css/"])
def test_nothing_but_assets_is_served(name):
    assert assets.read(name) is None


async def test_assets_are_kept_for_ever_by_those_who_know_the_version():
    app = web.Application()
    app.add_routes([web.get("/static/{name}", assets.serve)])
    async with TestClient(TestServer(app)) as client:
        answer = await client.get("/static/api.js")
        assert (answer.headers["Cache-Control"], answer.content_type) == ("no-cache", "text/javascript")
        tag = answer.headers["ETag"]
        assert (await client.get("/static/api.js", headers={"If-None-Match": tag})).status == 304
        assert "immutable" in (await client.get(f"/static/api.js?v={tag[1:-1]}")).headers["Cache-Control"]


#: Of others, from npm: what they do in a browser, the browser tests see.
LIBRARIES = {"idiomorph.js", "jquery.js", "uplot.js", "uplot.css"}


def test_pages_have_nothing_inline_and_nothing_from_elsewhere():
    everything = environment("hubbub_api", Options(Config()))
    sources = [everything.loader.get_source(everything, name)[0] for name in everything.list_templates()]
    assert len(sources) > 5
    for source in sources:
        assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:|https?://", source)
        assert not re.search(r"<script(?![^>]* src=)", source)
    for asset in files("hubbub.web").joinpath("static").iterdir():
        if asset.name in LIBRARIES:
            continue
        text = asset.read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|@import|innerHTML|eval\(", text)
