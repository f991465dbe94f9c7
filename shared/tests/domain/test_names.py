"""What people, servers, groups and services may be called."""

from collections.abc import Callable

import pytest

from hubbub.domain.message import Invalid
from hubbub.domain.names import (
    check_display_name,
    check_group_name,
    check_server_name,
    check_service_name,
    check_user_name,
    client_id,
    escape,
    full_name,
    normalize_user_name,
    prefix,
)

Check = Callable[[str], None]


@pytest.mark.parametrize("name", ["a", "lab", "gpu-2", "a1-b2-c3", "x" * 30])
def test_names_that_a_server_may_have(name: str) -> None:
    check_server_name(name)


@pytest.mark.parametrize(
    "name", ["", "Lab", "1a", "-a", "a-", "a--b", "a_b", "a b", "a/b", "a.b", "ä", "x" * 31, "lab\n", "a\u200b", "١"]
)
def test_names_that_a_server_may_not_have(name: str) -> None:
    with pytest.raises(Invalid, match="Invalid server name"):
        check_server_name(name)


@pytest.mark.parametrize("name", ["My lab", "Größe 2", "实验室", "x" * 255, "a\u0301"])
def test_names_that_may_be_shown(name: str) -> None:
    check_display_name(name)


@pytest.mark.parametrize("name", ["", " a", "a ", "a  b", "a\nb", "a\x00", "x" * 256])
def test_names_that_may_not_be_shown(name: str) -> None:
    with pytest.raises(Invalid):
        check_display_name(name)


@pytest.mark.parametrize("name", ["ada", "ada@example.org", "a b", "Ünï", "a~b", "x" * 255])
def test_names_that_a_user_may_have(name: str) -> None:
    check_user_name(name)


@pytest.mark.parametrize("name", ["", " ada", "ada ", "a/b", "a\nb", "a\x00", "x" * 256])
def test_names_that_a_user_may_not_have(name: str) -> None:
    with pytest.raises(Invalid, match="Invalid username"):
        check_user_name(name)


@pytest.mark.parametrize("name", ["a", "Class of '26", "a.b", "...", "Größe", "实验室", "50%20", "x" * 255])
def test_names_that_a_group_may_have(name: str) -> None:
    check_group_name(name)


@pytest.mark.parametrize(
    "name", ["", " ", " a", "a ", "a/b", "/", "a\nb", "a\x00", "a\u200b", "\ud800", ".", "..", "__proto__", "x" * 256]
)
def test_names_that_a_group_may_not_have(name: str) -> None:
    with pytest.raises(Invalid, match="Invalid group name"):
        check_group_name(name)


@pytest.mark.parametrize("name", ["a", "idle-culler", "My Service", ".a", "a.", "100%", "%zz", "Größe", "x" * 255])
def test_names_that_a_service_may_have(name: str) -> None:
    check_service_name(name)


@pytest.mark.parametrize(
    "name", ["", " a", "a ", "a/b", "a%20b", "%2F", "%ff", ".", "..", "....", "a\nb", "a\x00", "__proto__", "x" * 256]
)
def test_names_that_a_service_may_not_have(name: str) -> None:
    with pytest.raises(Invalid, match="Invalid service name"):
        check_service_name(name)


def test_a_user_is_known_by_one_spelling() -> None:
    assert normalize_user_name(" Ada ") == "ada"


@pytest.mark.parametrize(
    ("user", "server", "path", "client"),
    [
        ("ada", "", "/user/ada/", "jupyterhub-user-ada"),
        ("ada", "lab", "/user/ada/lab/", "jupyterhub-user-ada-lab"),
        ("ada@x.org", "", "/user/ada@x.org/", "jupyterhub-user-ada%40x.org"),
        ("a b", "", "/user/a%20b/", "jupyterhub-user-a%20b"),
        ("a~b", "", "/user/a~b/", "jupyterhub-user-a~b"),
        ("a%2Fb", "", "/user/a%252Fb/", "jupyterhub-user-a%252Fb"),
        ("ü", "", "/user/%C3%BC/", "jupyterhub-user-%C3%BC"),
    ],
)
def test_where_a_server_lives_and_as_whom_it_logs_in(user: str, server: str, path: str, client: str) -> None:
    assert prefix("/", user, server) == path
    assert prefix("/base/", user, server) == f"/base{path}"
    assert client_id(user, server) == client
    assert full_name(user, server) == f"{user}/{server}"


def test_a_name_stays_one_segment_of_a_path() -> None:
    for name in ("..", "?", "#", "a;b", "a&b", "a:b", "%", "\\"):
        assert not set("?#/\\ ") & set(escape(name))
