"""How the documentation becomes a site: `make docs`."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import generated  # noqa: E402

from hubbub import __version__  # noqa: E402

generated.write(HERE / "reference")

project = "Hubbub"
author = "the makers of Hubbub"
copyright = author
release = version = __version__

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
root_doc = "index"
exclude_patterns = ["_build", "Thumbs.db"]

# Links to headings as they are written for readers of the files themselves.
myst_heading_anchors = 4
# Blocks of code here are indented: what a shell or Python would make of them is nobody's guess.
highlight_language = "none"

html_theme = "furo"
html_title = f"Hubbub {__version__}"
html_static_path: list[str] = []
html_show_copyright = False
html_theme_options = {"top_of_page_buttons": []}
# Nothing from elsewhere, and no source to be copied along.
html_copy_source = False
html_show_sourcelink = False
