"""File names from names that customers gave: safe, and distinct for distinct names."""

from __future__ import annotations

import re

import pytest

from verifywise_mlflow.common.file_names import file_stem


@pytest.mark.parametrize("name", ["fraud", "credit-scoring_v1.2", "7"])
def test_a_plain_name_stays_as_it_is(name: str) -> None:
    assert file_stem(name) == name


def test_other_names_are_safe_and_never_the_same() -> None:
    names = ["Fraud", "fraud", "a b", "a/b", "a-b", "a--b", file_stem("a b"), "../../etc/passwd", "モデル", "модель"]
    names += ["", ".", "x" * 500, "x" * 501, "\ud800"]

    stems = [file_stem(name) for name in names]

    assert len({stem.casefold() for stem in stems}) == len(names)
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,79}", stem) for stem in stems)
    assert file_stem("a/b").startswith("a-b--")
