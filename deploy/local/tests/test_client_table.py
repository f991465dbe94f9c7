"""Tables and bars on a terminal, and where there is none."""

import io

import pytest

from hubbub_local.client import starting, waterfall
from hubbub_local.client.table import Paper, Styled, cut, plain, wide, widths_of


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def eighty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")


def shown(output: io.StringIO, *rows: tuple[object, ...], right: str = "") -> list[str]:
    Paper(output).table(("NAME", "SIZE", "WHAT"), rows, right)
    return output.getvalue().splitlines()


def test_columns_are_aligned_and_nothing_is_cut_where_there_is_no_terminal() -> None:
    long = "x" * 100
    assert shown(io.StringIO(), ("ada", 3, long), ("bob the builder", 12, ""), right=" r") == [
        "NAME             SIZE  WHAT",
        f"ada                 3  {long}",
        "bob the builder    12",
    ]


def test_on_a_terminal_the_widest_gives_way() -> None:
    found = shown(Terminal(), ("ada", 3, "x" * 100), ("bob", 4, "y"))
    assert found[1] == "ada   3     " + "x" * 27 + "…"
    assert max(wide(line) for line in found[1:]) == 40


def test_of_several_wide_ones_all_give_way_and_none_to_nothing() -> None:
    assert widths_of([50, 50, 4], 40) == [16, 16, 4]
    assert widths_of([50, 50, 50], 10) == [6, 6, 6]
    assert widths_of([3, 4], 40) == [3, 4]


def test_colours_are_for_terminals_that_want_them(monkeypatch: pytest.MonkeyPatch) -> None:
    row = ("ada", Styled("up", "green"), "x")
    assert "\x1b[32mup\x1b[0m" in shown(Terminal(), row)[1]
    assert "\x1b" not in "".join(shown(io.StringIO(), row))
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in "".join(shown(Terminal(), row))
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert "\x1b" not in "".join(shown(Terminal(), row))


def test_coloured_cells_are_aligned_by_what_is_seen() -> None:
    found = shown(Terminal(), ("ada", Styled("up", "green"), "x"), ("bob", Styled("silent", "red"), "y"))
    assert [line.replace("\x1b[32m", "").replace("\x1b[31m", "").replace("\x1b[0m", "") for line in found[1:]] == [
        "ada   up      x",
        "bob   silent  y",
    ]


def test_letters_of_two_columns_and_of_none_are_counted_as_such() -> None:
    assert wide("ab漢字") == 6
    assert wide("e\u0301") == 1
    assert cut("漢字漢字", 5) == "漢字…"


def test_nothing_in_a_cell_is_obeyed_by_the_terminal() -> None:
    assert plain("a\x1b[2Jb\nc\u202ed") == "a?[2Jb c?d"
    assert plain(None) == ""


# Bars ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        ({"progress": 50, "message": "Pulling"}, f"[{'#' * 12}{'-' * 12}]  50 %  Pulling"),
        ({"progress": 250, "message": "x"}, f"[{'#' * 24}] 100 %  x"),
        ({"message": "x"}, f"[{'-' * 24}]   0 %  x"),
        ({"progress": 0, "message": "place 3 of 12", "place": 3}, "place 3 of 12"),
    ],
)
def test_the_bar_of_a_start(frame: dict[str, object], said: str) -> None:
    assert starting.bar(frame) == said


def test_progress_is_one_line_of_a_terminal_and_nothing_elsewhere() -> None:
    terminal, file = Terminal(), io.StringIO()
    Paper(terminal).progress("x" * 100)
    Paper(file).progress("x")
    assert terminal.getvalue() == "\r" + "x" * 38 + "…\x1b[K"
    assert file.getvalue() == ""


@pytest.mark.parametrize(
    ("begin", "end", "drawn"),
    [
        (0, 10, "██████████"),
        (0, 5, "█████     "),
        (5, 10, "     █████"),
        (5, 5, "     █    "),
        (10, 10, "         █"),
        (0, 0.001, "█         "),
    ],
)
def test_each_phase_of_a_start_is_seen(begin: float, end: float, drawn: str) -> None:
    assert waterfall.bar(begin, end, 10, 10) == drawn


def phase(title: str, begin: float, end: float | None, why: str = "") -> dict[str, object]:
    return {"title": title, "begin": begin, "end": end, "ended": "done" if end else "open", "why": why, "proxy": ""}


def test_a_waterfall_has_a_line_a_phase_as_wide_as_the_terminal() -> None:
    output = Terminal()
    found = {"seconds": 10.0, "phases": [phase("In line", 0, 4.0, "because"), phase("Route", 4.0, None)]}
    waterfall.draw(found, Paper(output))
    first, second = output.getvalue().splitlines()
    assert first.startswith("In line")
    assert "4.00 s" in first
    assert "6.00 s" in second
    assert first.count("█") < second.count("█")


def test_a_start_without_any_phase_is_no_accident() -> None:
    waterfall.draw({"seconds": 0, "phases": []}, Paper(io.StringIO()))


def test_json_is_one_line_where_a_program_reads_it() -> None:
    terminal, file = Terminal(), io.StringIO()
    for output in (terminal, file):
        Paper(output).json({"a": "ü"})
    assert (terminal.getvalue(), file.getvalue()) == ('{\n "a": "ü"\n}\n', '{"a": "ü"}\n')
