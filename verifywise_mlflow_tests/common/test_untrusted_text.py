"""Untrusted text is sanitized before it is displayed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifywise_mlflow.common.untrusted_text import (
    escape_invisible,
    excerpt,
    has_visible_character,
    quote,
    truncate,
)

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
        ("Hangul\u3164filler", "Hangul\\u3164filler"),
        ("\u115f\u1160\uffa0", "\\u115f\\u1160\\uffa0"),
        ("variant\ufe0f", "variant\\ufe0f"),
        ("tag\U000e0041", "tag\\U000e0041"),
        ("joiner\u034f", "joiner\\u034f"),
    ],
)
def test_invisible_characters_are_escaped_and_others_stay(text: str, escaped: str) -> None:
    assert escape_invisible(text) == escaped


@given(ANY_TEXT)
def test_an_escaped_text_is_one_line_that_can_be_encoded(text: str) -> None:
    escaped = escape_invisible(text)

    assert len(escaped.splitlines()) <= 1
    escaped.encode("utf-8")


def test_every_default_ignorable_code_point_is_escaped() -> None:
    """The list comes from DerivedCoreProperties.txt in Unicode 16."""
    ranges = "ad 34f 61c 115f-1160 17b4-17b5 180b-180f 200b-200f 202a-202e 2060-206f 3164 fe00-fe0f feff ffa0 fff0-fff8"
    ranges += " 1bca0-1bca3 1d173-1d17a e0000-e0fff"
    for first, _, last in (part.partition("-") for part in ranges.split()):
        for number in range(int(first, 16), int(last or first, 16) + 1):
            assert escape_invisible(f"a{chr(number)}").startswith("a\\"), hex(number)
            assert quote(f"a{chr(number)}").startswith("'a\\"), hex(number)
            assert not has_visible_character(f" {chr(number)}\t")


def test_a_name_is_visible_if_any_character_is() -> None:
    assert has_visible_character("\u200b東")
    assert not has_visible_character("\u2800\u3164 \n")


def test_a_long_text_is_truncated_with_an_ellipsis() -> None:
    assert truncate("abc", 3) == "abc"
    assert truncate("abcd", 3) == "abc…"
    assert quote("it's", 3) == '"it\'…"'
    assert excerpt("\x00" + "a" * 300) == "\\x00" + "a" * 196 + "…"
