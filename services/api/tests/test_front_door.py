"""Where the operator wants `/hub/` and `/hub/user-redirect` to lead."""

import pytest
from traitlets.config import Config

from hubbub.config import Options


@pytest.fixture
def options(request) -> Options:
    return Options(Config({"JupyterHub": getattr(request, "param", {})}))


def going(answer):
    return answer.status, answer.headers.get("Location", "")


@pytest.mark.parametrize("options", [{"default_url": "/hub/home"}], indirect=True)
async def test_the_default_url_comes_before_ones_server_and_after_what_was_wished_for(house):
    await house.person("ada")
    assert going(await house.ask("/hub/?a=1", "ada")) == (302, "/hub/home?a=1")
    assert going(await house.ask("/hub/?next=/hub/token", "ada")) == (302, "/hub/token")
    assert going(await house.ask("/hub/"))[1].startswith("/hub/login")


def by_name(handler):
    place = handler.get_argument("place", "nowhere")
    return f"{handler.hub.base_url}spawn?for={handler.current_user.name}&at={place}"


async def later(handler):
    return None if handler.current_user.admin else "/services/desk/"


@pytest.mark.parametrize("options", [{"default_url": by_name}], indirect=True)
async def test_a_default_url_may_depend_on_who_asks_and_how(house):
    await house.person("ada")
    assert going(await house.ask("/hub/?place=x", "ada")) == (302, "/hub/spawn?for=ada&at=x&place=x")


@pytest.mark.parametrize("options", [{"default_url": later}], indirect=True)
async def test_it_may_be_worked_out_later_and_leave_it_at_the_usual(house):
    await house.person("ada")
    await house.person("root", admin=True)
    assert going(await house.ask("/hub/", "ada")) == (302, "/services/desk/")
    assert going(await house.ask("/hub/", "root")) == (302, "/hub/spawn")


@pytest.mark.parametrize("options", [{"default_url": lambda handler: 7}], indirect=True)
async def test_what_is_no_address_is_the_configurations_fault(house):
    await house.person("ada")
    answer = await house.ask("/hub/", "ada")
    assert (answer.status, "no address" in await answer.text()) == (500, True)


def hook(path, request, user, base_url):
    return None if path == "usual" else f"{base_url}services/{user.name}/{path}?{request.query}"


@pytest.mark.parametrize("options", [{"user_redirect_hook": hook}], indirect=True)
async def test_the_hook_decides_unless_it_has_nothing_to_say(house):
    await house.person("ada")
    assert going(await house.ask("/hub/user-redirect/a/b?c=d", "ada")) == (302, "/services/ada/a/b?c=d")
    usual = going(await house.ask("/hub/user-redirect/usual", "ada"))
    assert usual == (302, "/hub/spawn/ada?next=%2Fuser%2Fada%2Fusual")


@pytest.mark.parametrize(
    ("options", "place"),
    [
        (
            {"default_server_name": "lab", "allow_named_servers": True},
            "/hub/spawn/ada/lab?next=%2Fuser%2Fada%2Flab%2Fx",
        ),
        ({"default_server_name": "lab"}, "/hub/spawn/ada?next=%2Fuser%2Fada%2Fx"),
    ],
    indirect=["options"],
)
async def test_the_default_servers_name_counts_where_servers_have_names(house, place):
    await house.person("ada")
    assert going(await house.ask("/hub/user-redirect/x", "ada")) == (302, place)


@pytest.mark.parametrize("options", [{"implicit_spawn_seconds": 1.5}], indirect=True)
async def test_a_server_that_is_not_running_begins_by_itself_where_the_operator_wants_that(house):
    await house.person("ada")
    await house.person("root", admin=True)
    page = await (await house.ask("/hub/user/ada/lab", "ada")).text()
    assert '<meta http-equiv="refresh" content="1.5;url=/hub/spawn/ada?next=%2Fhub%2Fuser%2Fada%2Flab">' in page
