"""What the tests of the embedded stack share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hubbub_local import folder
from hubbub_local.folder import Folder
from hubbub_local.testing import Changes


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Folder]:
    """A data folder in use, with a space in its path."""
    with folder.take(tmp_path / "the data") as taken:
        yield taken


@pytest.fixture
def changes() -> Changes:
    return Changes()
