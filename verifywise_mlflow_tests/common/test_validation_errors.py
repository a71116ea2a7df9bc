"""Pydantic's validation errors as instructions."""

from __future__ import annotations

import pytest

from verifywise_mlflow.common.validation_errors import correction_for, field_path


@pytest.mark.parametrize(
    ("error_type", "message", "expected"),
    [
        ("missing", "Field required", "this field is required: add it"),
        ("extra_forbidden", "Extra inputs are not permitted", "there is no such field: correct its name or remove it"),
        ("value_error", "Value error, write a number", "write a number"),
        ("own", "Field required", "a text of the caller"),
    ],
)
def test_an_error_says_what_to_do(error_type: str, message: str, expected: str) -> None:
    assert correction_for(error_type, message, {"own": "a text of the caller"}) == expected


def test_a_field_is_named_by_its_path() -> None:
    assert field_path(("waivers", 0, "model")) == "waivers.0.model"
