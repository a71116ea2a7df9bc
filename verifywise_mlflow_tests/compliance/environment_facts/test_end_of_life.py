"""The known days of support and release of the lines of Python and MLflow."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path

import pytest
from pydantic import JsonValue

from verifywise_mlflow.compliance.environment_facts.end_of_life import (
    EndOfLifeError,
    load_end_of_life,
    shipped_end_of_life,
)
from verifywise_mlflow.compliance.rules.rule import Example
from verifywise_mlflow.compliance.verdict import Verdict


def days(path: Path | None = None, *, python: str | None = "3.11.9", mlflow: str | None = "3.1.4") -> dict[str, object]:
    environment: JsonValue = {"python_version": python, "mlflow_version": mlflow}
    record = Example(record={"runtime_environment": environment}, verdict=Verdict.PASS).canonical_record()
    return {**load_end_of_life(path).of(record)}


@pytest.mark.parametrize(
    ("python", "mlflow", "expected"),
    [
        ("3.11.9", "3.1.4", ("2027-10-31", "2025-06-10")),
        ("3.11", "3.10.0rc1", ("2027-10-31", "2026-02-20")),
        ("3.11.0rc1", "2.9.2", ("2027-10-31", "2023-12-06")),
        ("3.99.1", "99.0", (None, "newest")),
        ("3.1.1", "0.1", (None, None)),
        ("unknown", "3.x", (None, None)),
        (None, None, (None, None)),
    ],
)
def test_a_version_has_the_days_of_its_line(
    python: str | None, mlflow: str | None, expected: tuple[str | None, str | None]
) -> None:
    newest = str(max(shipped_end_of_life().mlflow.values()))
    shown = days(python=python, mlflow=mlflow)

    released = newest if expected[1] == "newest" else expected[1]
    assert shown == {
        name: f"{day}T00:00:00Z" for name, day in (("python", expected[0]), ("mlflow_released", released)) if day
    }


def test_an_operator_adds_lines_and_states_other_days(tmp_path: Path) -> None:
    path = tmp_path / "ours.yaml"
    path.write_text("python: {'3.99': 2040-10-31, '3.11': 2029-06-30}\n", encoding="utf-8")

    assert days(path, python="3.99.1")["python"] == "2040-10-31T00:00:00Z"
    assert days(path) == {"python": "2029-06-30T00:00:00Z", "mlflow_released": "2025-06-10T00:00:00Z"}
    assert load_end_of_life(path).digest != shipped_end_of_life().digest


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("[]", "write python and mlflow at the top level"),
        ("python: {'3': 2026-01-01}", "python"),
        ("python: {'3.11': soon}", "python"),
        ("ruby: {}", "ruby"),
    ],
)
def test_a_file_of_another_form_is_refused_with_its_line(tmp_path: Path, content: str, complaint: str) -> None:
    path = tmp_path / "ours.yaml"
    path.write_text(content, encoding="utf-8")

    with pytest.raises(EndOfLifeError, match=complaint) as caught:
        load_end_of_life(path)

    assert str(path) in str(caught.value)


def test_the_python_and_the_mlflow_of_this_installation_are_known() -> None:
    assert days(python=platform.python_version(), mlflow=version("mlflow")).keys() == {"python", "mlflow_released"}
