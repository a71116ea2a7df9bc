"""The hashed text of a state: different states have different texts, and the stored row yields the same text again."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from verifywise_mlflow.persistence.pg_text_codec import dumps
from verifywise_mlflow.persistence.queries.text_columns import canonical_json
from verifywise_mlflow.persistence.state_contents import VERDICT_COLUMNS, column_hashes, joined_columns

NUMBERS = st.integers() | st.floats() | st.decimals(allow_nan=False, allow_infinity=False).map(float)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda values: st.lists(values, max_size=4) | st.dictionaries(st.text(max_size=5), values, max_size=4),
    max_leaves=12,
)


@given(JSON)
@example([1e16, 1e15, 1e-4, 1.234e-5, 5e-324, 1e300, 2**53, 2**63, 2**64, -(2**64), 0.1 + 0.2])
@example({"b": math.nan, "aa": [-0.0, math.inf], "\u2400": "\x00\ud800\x1f\x7f\u2028"})
@example([[[[[]]]]] * 3)
def test_json_that_was_read_gives_the_text_that_was_written(value: object) -> None:
    written = dumps(value)

    assert canonical_json(written) == written


def test_keys_are_sorted_again_and_blanks_are_left_out() -> None:
    assert canonical_json('{"b": 1, "aa": [1, 2.50, {"é": "x: y", "z": null}]}') == (
        '{"aa":[1,2.5,{"z":null,"é":"x: y"}],"b":1}'
    )


@pytest.mark.parametrize("number", ["1", "1e-07"])
def test_a_needless_escape_stays_visible(number: str) -> None:
    # dumps writes no ␛ before digits, but loads reads them as a letter.
    assert canonical_json(f'["\u241b0061", {number}]') == f'["\u241b0061",{number}]'


CELLS = st.text(st.characters(exclude_characters="\x1e", codec="utf-8"), max_size=2)
VERDICTS = st.lists(st.tuples(*[CELLS] * len(VERDICT_COLUMNS)), max_size=3)


@given(VERDICTS, VERDICTS)
@example([("a", "b", *[""] * 10)], [("", "ab", *[""] * 10)])
@example([("a", *[""] * 11), ("", *[""] * 11)], [("", *[""] * 11), ("a", *[""] * 11)])
@example([], [("",) * 12])
def test_other_verdicts_have_other_hashes(some: Sequence[Sequence[str]], others: Sequence[Sequence[str]]) -> None:
    are_equal = column_hashes(joined_columns(some)) == column_hashes(joined_columns(others))

    assert are_equal == (some == others)
