"""The texts and items of one object are bounded. An omission is recorded as a problem, and its change is detected."""

from __future__ import annotations

import pytest

from verifywise_mlflow.connector import parsing
from verifywise_mlflow.connector.text_intake import MAX_ITEMS, MAX_OBJECT_TEXT, MAX_TEXT_LENGTH
from verifywise_mlflow.normalizer.fingerprint import fingerprint


def version_row(**fields: object) -> dict[str, object]:
    return {"name": "churn", "version": "1", **fields}


def test_a_text_of_the_longest_length_is_taken_in() -> None:
    version = parsing.model_version(version_row(description="d" * MAX_TEXT_LENGTH))

    assert version.description == "d" * MAX_TEXT_LENGTH
    assert version.problems == ()


@pytest.mark.parametrize("field", ["source", "description", "run_link", "status_message", "run_id"])
def test_a_longer_text_is_left_out_as_a_whole(field: str) -> None:
    version = parsing.model_version(version_row(**{field: "s" * 20_000_000}))

    assert getattr(version, field) is None
    (problem,) = version.problems
    assert problem.startswith(f"{field} was not taken in: it has 20,000,000 characters")


def test_a_change_of_a_text_that_is_left_out_is_a_change() -> None:
    first, second = (
        parsing.model_version(version_row(description=letter + "d" * MAX_TEXT_LENGTH)) for letter in ("a", "b")
    )

    assert fingerprint(first) != fingerprint(second)


def test_the_texts_of_an_object_are_bounded_together() -> None:
    tags = [{"key": f"tag {number:02}", "value": "v" * MAX_TEXT_LENGTH} for number in range(20)]

    version = parsing.model_version(version_row(tags=tags))

    assert sum(map(len, version.tags.values())) <= MAX_OBJECT_TEXT
    assert list(version.tags) == [f"tag {number:02}" for number in range(9)], "the first by their keys"
    assert version.problems[0].startswith("11 texts beyond a limit, the first 5: tags 'tag 09' was not taken in")


def test_the_same_items_are_taken_in_whatever_their_order() -> None:
    tags = [{"key": f"{number:06}", "value": "v"} for number in range(MAX_ITEMS + 2)]

    version = parsing.model_version(version_row(tags=tags))
    reversed_version = parsing.model_version(version_row(tags=tags[::-1]))

    assert len(version.tags) == MAX_ITEMS
    assert version.problems == ("2 tags were not taken in: an object may have at most 10,000",)
    assert fingerprint(version) == fingerprint(reversed_version)


def test_the_problems_of_an_object_are_bounded() -> None:
    version = parsing.model_version(version_row(tags=[{"key": number} for number in range(MAX_ITEMS)]))

    (problem,) = version.problems
    assert problem.startswith("10,000 unusable values, the first 5: tags could not be used: 0; ")
