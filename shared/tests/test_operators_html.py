"""What an operator wrote runs on its page, by a nonce or by its hash."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.web.operators_html import _Scripts


def marked(text: str) -> str:
    for place in reversed(_Scripts(text).places):
        text = f"{text[:place]} N{text[place:]}"
    return text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<script>1</script>", "<script N>1</script>"),
        ("a\nb <SCRIPT src=x></SCRIPT>", "a\nb <SCRIPT N src=x></SCRIPT>"),
        ("ä\r\n\u2028<p>\n <script\n type='module'>", "ä\r\n\u2028<p>\n <script N\n type='module'>"),
        ("<script>'<script>'</script><script>2</script>", "<script N>'<script>'</script><script N>2</script>"),
        ("<!-- <script> --><i title='<script>'>", "<!-- <script> --><i title='<script>'>"),
        ("<textarea><script></textarea>", None),
        ("<script/>", "<script N/>"),
        ("<script nonce=x>1</script>", "<script nonce=x>1</script>"),
    ],
)
def test_each_script_tag_is_found_and_nothing_else_is_touched(text, expected):
    if expected is None:  # parsers differ on what is inside; nothing but script tags may be marked at any rate
        assert re.sub(r" N", "", marked(text)) == text
    else:
        assert marked(text) == expected


@given(st.text(alphabet="<>/script \n\r\"'=a\u2028é-!", max_size=80))
def test_only_ever_behind_a_script_tags_name(text):
    for place in _Scripts(text).places:
        assert text[:place].lower().endswith("<script")


def test_handlers_are_those_that_a_browser_would_run():
    found = _Scripts("""<a onclick="go('x &amp; y')" href="on"><select onchange='a()'><b once>""")
    assert found.handlers[:2] == ["go('x & y')", "a()"]
