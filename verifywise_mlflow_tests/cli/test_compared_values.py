"""``compare`` prints as much of two values as is needed to show whether and how they differ."""

from __future__ import annotations

import pytest

from verifywise_mlflow.cli.compared_values import brief_data_set, brief_sides
from verifywise_mlflow.services.comparison import ComparedValue, Section
from verifywise_mlflow.services.record_parts import DataSet


@pytest.mark.parametrize(
    ("section", "values", "printed"),
    [
        ("metrics", ("0.9604040404040404", "0.9504"), ("0.960404", "0.9504")),
        ("metrics", ("0.9604040404040404", "0.9604040404040405"), ("0.9604040404040404", "0.9604040404040405")),
        ("metrics", ("nan", None), ("nan", None)),
        ("parameters", ("0.9604040404040404", "1"), ("0.9604040404040404", "1")),
        ("files", (f"sha256 {'a' * 64}", f"sha256 {'b' * 64}"), (f"sha256 {'a' * 12}…", f"sha256 {'b' * 12}…")),
        ("files", (f"sha256 {'a' * 64}", f"sha256 {'a' * 63}b"), (f"sha256 {'a' * 64}", f"sha256 {'a' * 63}b")),
    ],
)
def test_values_are_brief_unless_that_hides_their_difference(
    section: Section, values: tuple[str | None, str | None], printed: tuple[str | None, str | None]
) -> None:
    assert brief_sides(ComparedValue(section, "a", *values, differs=True), {}) == printed


@pytest.mark.parametrize(
    ("source", "printed"),
    [
        ('{"uri": "s3://bucket/loans.parquet"}', "digest d1, s3://bucket/loans.parquet"),
        (
            '{"tags": {"mlflow.user": "root", "mlflow.source.name": "/ada/train.py"}}',
            "digest d1, made by train.py",
        ),
        ('{"catalog": 1}', "digest d1, source of type hf"),
        ("s3://bucket/loans.parquet", "digest d1, s3://bucket/loans.parquet"),
        ("[" * 100_000, f"digest d1, {'[' * 100_000}"),
        (None, "digest d1"),
    ],
)
def test_a_data_set_is_its_digest_and_its_place(source: str | None, printed: str) -> None:
    assert brief_data_set(DataSet("loans", "d1", "hf", source, None)) == printed
