"""Glob patterns for keys, values, names and paths."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifywise_mlflow.common.globs import GlobTable, compile_globs, matches_any


@pytest.mark.parametrize(
    ("globs", "text", "matches"),
    [
        (["*.pkl"], "model.pkl", True),
        (["*.pkl"], "model.pkl.txt", False),
        (["a?", "b*"], "bcd", True),
        ([], "anything", False),
        ([], "", False),
    ],
)
def test_a_text_matches_if_one_glob_matches_all_of_it(globs: list[str], text: str, matches: bool) -> None:
    assert (compile_globs(globs).match(text) is not None) == matches


def test_matches_any_ignores_case() -> None:
    assert matches_any(["Owner*"], "owner_EMAIL")
    assert not matches_any(["Owner*"], "the_owner")
    assert not matches_any([], "owner")


def test_the_glob_with_the_most_literal_characters_wins() -> None:
    table = GlobTable({"owner": ["*-owner"], "approver": ["Risk_own*"]})

    assert table.match(("risk", "owner")) == "approver"
    assert table.match(("model", "owner")) == "owner"
    assert table.match(("team",)) is None


@given(st.lists(st.text("ab*?_", min_size=1, max_size=4), max_size=6), st.lists(st.text("ab", min_size=1), max_size=3))
def test_a_table_finds_what_one_glob_after_the_other_finds(globs: list[str], words: list[str]) -> None:
    by_literals = sorted(globs, key=lambda glob: -len(re.sub(r"[*?]", "", glob)))
    folded = {glob: re.sub("_+", "_", glob) for glob in globs}
    first = next((glob for glob in by_literals if compile_globs([folded[glob]]).match("_".join(words))), None)

    found = GlobTable({glob: [glob] for glob in globs}).match(words)

    assert (found is None) == (first is None)
    if found is not None and first is not None:
        assert len(re.sub(r"[*?]", "", found)) == len(re.sub(r"[*?]", "", first))
        assert compile_globs([folded[found]]).match("_".join(words))


def test_many_stars_take_linear_time() -> None:
    pattern = compile_globs(["*a" * 50 + "*b"])
    started_at = time.monotonic()

    assert pattern.match("a" * 10_000) is None
    assert time.monotonic() - started_at < 1
