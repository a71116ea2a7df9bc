"""Problems are counted by kind, and their text is bounded regardless of the number of problems."""

from __future__ import annotations

import pytest

from verifywise_mlflow.common.problems import MAX_FIRST, MAX_KINDS, MAX_SENTENCE_LENGTH, Problems, shorten
from verifywise_mlflow.http.errors import InvalidResponseError


def many(kind: str, count: int, sentence: str = "row has no name") -> Problems:
    problems = Problems()
    for _ in range(count):
        problems.add(sentence, kind)
    return problems


def test_a_few_problems_are_shown_one_by_one() -> None:
    assert tuple(Problems("a", "b")) == ("a", "b")
    assert not Problems()


def test_many_problems_are_shown_with_their_count() -> None:
    problems = many("malformed rows", 12_345, "no name")

    assert tuple(problems) == (f"12,345 malformed rows, the first {MAX_FIRST}: " + "; ".join(["no name"] * MAX_FIRST),)


def test_merged_problems_are_counted_together() -> None:
    merged = many("malformed rows", 7) + many("malformed rows", 3) + many("unusable values", 2)

    assert merged.total == 12
    assert merged[0].startswith("10 malformed rows")
    assert merged[1:] == ("row has no name", "row has no name")


def test_rewritten_problems_have_the_same_counts() -> None:
    assert next(iter(many("malformed rows", 9).map(str.upper))).startswith(
        "9 malformed rows, the first 5: ROW HAS NO NAME"
    )


@pytest.mark.parametrize("length", [10, 10_000_000])
def test_the_text_is_bounded(length: int) -> None:
    problems = Problems()
    for number in range(1_000):
        problems.add("x" * length, f"kind {number}")

    assert problems.total == 1_000
    assert len(problems) <= (MAX_KINDS + 1) * MAX_FIRST
    assert all(len(sentence) <= MAX_SENTENCE_LENGTH for sentence in problems)


def test_an_error_quotes_no_more_than_a_sentence() -> None:
    assert len(str(InvalidResponseError("x" * 1_000_000))) == len(shorten("x" * 1_000_000)) == MAX_SENTENCE_LENGTH
