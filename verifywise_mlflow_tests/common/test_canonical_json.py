"""Canonical JSON, over which hashes and signatures are computed."""

from __future__ import annotations

import hashlib
import math

import pytest

from verifywise_mlflow.common.canonical_json import canonical_json, finite_or_name, sha256_of


def test_keys_are_sorted_without_whitespace_and_everything_outside_ascii_is_escaped() -> None:
    value = {"b": [1, None, True], "a": "é\x00\ud800"}

    assert canonical_json(value) == '{"a":"\\u00e9\\u0000\\ud800","b":[1,null,true]}'


def test_a_number_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"x": math.nan})


@pytest.mark.parametrize(
    ("number", "expected"), [(0.5, 0.5), (math.nan, "NaN"), (math.inf, "Infinity"), (-math.inf, "-Infinity")]
)
def test_numbers_that_are_not_finite_have_names(number: float, expected: float | str) -> None:
    assert finite_or_name(number) == expected


def test_the_hash_is_the_sha256_of_the_text() -> None:
    assert sha256_of('{"a":1}') == hashlib.sha256(b'{"a":1}').hexdigest()
