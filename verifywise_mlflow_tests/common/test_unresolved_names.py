"""Suggestions for misspelled names: similar ones first, then longer ones that contain the text, and bounded."""

from __future__ import annotations

import pytest

from verifywise_mlflow.common.unresolved_names import MAX_CANDIDATES, nearest_names, unknown_name

NAMES = ("churn", "fraud", "customer-churn-v2", "production-privacy-assessment", "owner", "acme")


@pytest.mark.parametrize(
    ("written", "suggested"),
    [
        ("chrun", ["churn"]),
        ("FRAUD", ["fraud"]),
        ("custmer-churn", ["customer-churn-v2"]),
        ("privacy", ["production-privacy-assessment"]),
        ("acne", ["acme"]),
        ("xyz", []),
        ("a", []),
    ],
)
def test_the_nearest_names_are_suggested(written: str, suggested: list[str]) -> None:
    assert nearest_names(written, NAMES) == suggested


def test_a_name_is_not_compared_with_more_than_a_bounded_number_of_candidates() -> None:
    read = []

    def candidates() -> object:
        for number in range(2 * MAX_CANDIDATES):
            read.append(number)
            yield f"model-{number}"

    nearest_names("model-7", candidates())  # type: ignore[arg-type]  # a generator

    assert len(read) == MAX_CANDIDATES


def test_suggested_names_are_escaped() -> None:
    error = unknown_name("there is no model 'xa'", "xa\x1b[31m", ["xb\x1b[31m"])

    assert str(error) == r"there is no model 'xa'. Did you mean 'xb\x1b[31m'?"
