"""Text from outside stays text in Markdown, also for renderers that link URLs and names in a text."""

from __future__ import annotations

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from verifywise_mlflow.common.markdown import escape_markdown

PARTS = [*"a `|\\*_[]()<>", "&amp;", "@a", "x@y.test", "https://x.test", "www."]


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("see https://evil.test/a_b, then *this*", "see `https://evil.test/a_b,` then \\*this\\*"),
        ("ask @admin or WWW.evil.test", "ask `@admin` or `WWW.evil.test`"),
        ("by risk@acme.test", "by `risk@acme.test`"),
        ("[sign in](https://evil.test)", "\\[sign `in](https://evil.test)`"),
        ("https://evil.test|b `@c", "`https://evil.test`\\|b \\``@c`"),
        ("3 @ 5, a://, wwww", "3 @ 5, `a://,` wwww"),
    ],
)
def test_what_a_renderer_would_link_is_a_code_span(text: str, escaped: str) -> None:
    assert escape_markdown(text) == escaped


@given(st.lists(st.sampled_from(PARTS), max_size=12).map("".join))
def test_a_text_is_rendered_as_it_is_and_nothing_outside_code_can_become_a_link(text: str) -> None:
    rendered = MarkdownIt("commonmark").renderInline(f"x{escape_markdown(text)}x")

    assert set(re.findall(r"<[^>]*>", rendered)) <= {"<code>", "</code>"}
    assert html.unescape(re.sub(r"</?code>", "", rendered)) == f"x{text}x"
    assert not re.search(r"://|@\w", re.sub(r"<code>.*?</code>", "", rendered))
