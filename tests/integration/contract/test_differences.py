"""The table of differences holds differences only, and each is looked at by a test."""

from pathlib import Path

import pytest
from differences import DIFFERENCES


@pytest.mark.parametrize("name", DIFFERENCES)
def test_a_difference_is_one(name: str) -> None:
    tests = [path.read_text() for path in Path(__file__).parent.glob("test_*.py")]
    assert DIFFERENCES[name].ours != DIFFERENCES[name].theirs
    assert any(f'"{name}"' in text for text in tests)
