"""Names that cannot be parts of a key are refused, each with a reason."""

from __future__ import annotations

import pytest

from verifywise_mlflow.persistence.row_mapping import fits_in_key, key_problem


@pytest.mark.parametrize(
    "name", ["\u200b", "\u3164\u3164", "\ufe0f\u034f", " \u00ad ", "\u2800", "\u202e", "\U000e0041"]
)
def test_a_name_of_invisible_characters_is_refused(name: str) -> None:
    assert not fits_in_key(name)
    assert key_problem(name) == "consists of invisible characters, which no page can show"


@pytest.mark.parametrize("name", ["churn", "東京", "a\u200bb", "❤️"])
def test_a_name_with_a_visible_character_is_accepted(name: str) -> None:
    assert fits_in_key(name, None)


def test_a_name_that_is_too_long_for_an_index_is_refused() -> None:
    assert key_problem("é" * 1_001) == "has more than 2000 bytes"


def test_a_name_that_is_too_long_only_as_postgres_stores_it_is_refused() -> None:
    assert key_problem("a" + "\x00" * 1_000) == "has more than 2000 bytes"
