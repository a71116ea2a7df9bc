"""Untrusted text is sanitized before it is displayed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifywise_mlflow.common.untrusted_text import escape_invisible, excerpt, quote, truncate

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()))


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("Grüße, 東京", "Grüße, 東京"),
        ("no\u00a0break", "no\u00a0break"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("two\nlines", "two\\nlines"),
        ("abc\u202edcba", "abc\\u202edcba"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("\ud800", "\\ud800"),
        ("\u2028", "\\u2028"),
    ],
)
def test_invisible_characters_are_escaped_and_others_stay(text: str, escaped: str) -> None:
    assert escape_invisible(text) == escaped


@given(ANY_TEXT)
def test_an_escaped_text_is_one_line_that_can_be_encoded(text: str) -> None:
    escaped = escape_invisible(text)

    assert len(escaped.splitlines()) <= 1
    escaped.encode("utf-8")


def test_a_long_text_is_truncated_with_an_ellipsis() -> None:
    assert truncate("abc", 3) == "abc"
    assert truncate("abcd", 3) == "abc…"
    assert quote("it's", 3) == '"it\'…"'
    assert excerpt("\x00" + "a" * 300) == "\\x00" + "a" * 196 + "…"
