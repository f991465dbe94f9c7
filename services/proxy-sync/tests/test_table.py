"""What the house is told: each change once, and everything again if it may have forgotten."""

from hubbub_proxy_sync.table import Placed, Table

ADA = Placed("ada", 1, "http://127.0.0.1:1")


def _untold(table: Table, *servers: str) -> list[tuple[str, int, str | None]]:
    reports = list(table.untold(servers, {}, {}))
    table.tell(reports)
    return [(report.server, report.attempt, report.target) for report in reports]


def test_a_new_route_is_told_once() -> None:
    table = Table()
    table.put("/user/ada/", ADA)
    assert _untold(table, "ada") == [("ada", 1, "http://127.0.0.1:1")]
    assert _untold(table, "ada") == []


def test_another_attempt_at_the_same_address_is_told() -> None:
    table = Table()
    table.put("/user/ada/", ADA)
    _untold(table, "ada")
    table.put("/user/ada/", Placed("ada", 2, ADA.target))
    assert [("ada", 2, ADA.target)] == _untold(table, "ada")


def test_a_removed_route_is_told_once_with_its_attempt() -> None:
    table = Table()
    table.put("/user/ada/", ADA)
    _untold(table, "ada")
    table.drop("/user/ada/")
    assert _untold(table, "ada") == [("ada", 1, None)]
    assert _untold(table, "ada") == []


def test_a_server_without_a_route_is_told_in_case_the_house_thinks_otherwise() -> None:
    assert _untold(Table(), "bob") == [("bob", 0, None)]


def test_everything_is_told_again_to_a_house_that_may_have_forgotten() -> None:
    table = Table()
    table.put("/user/ada/", ADA)
    table.put("/user/bob/", Placed("bob", 4, "http://127.0.0.1:2"))
    _untold(table, "ada", "bob")
    table.forget_told()
    table.read({})
    assert {"ada", "bob"} == table.servers()
    assert _untold(table, "ada", "bob") == [("ada", 1, None), ("bob", 4, None)]


def test_the_routes_of_the_operator_are_not_told() -> None:
    table = Table()
    for server in ("", "hub", "service:announce", "extra:/there/"):
        table.put(f"/{server}/", Placed(server, 0, "http://127.0.0.1:1"))
    assert {"hub", "service:announce"} == {server for server, _, _ in _untold(table, *table.servers())}


def test_a_server_that_took_over_the_route_of_another_keeps_it() -> None:
    table = Table()
    table.put("/user/ada/", ADA)
    table.put("/user/ada/", Placed("ada-again", 1, "http://127.0.0.1:2"))
    assert table.of(["ada"], []) == {}


def test_a_route_of_which_the_house_could_not_be_told_again_is_not_forgotten() -> None:
    table = Table()
    table.put("/user/ada/", ADA)
    _untold(table, "ada")
    table.forget_told()
    table.forget_removed()
    table.read({})
    assert {"ada"} == table.servers()
    assert _untold(table, "ada") == [("ada", 1, None)]
    table.forget_removed()
    assert table.servers() == set()
