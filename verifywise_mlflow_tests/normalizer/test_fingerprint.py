from __future__ import annotations

import hashlib
import math
from datetime import UTC, datetime, timedelta, timezone
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifywise_mlflow.connector.models import DatasetInput, TrainingRun
from verifywise_mlflow.normalizer.fingerprint import fingerprint

TEXT = st.text(st.characters(exclude_categories=()))


def sha256(canonical: str) -> str:
    return hashlib.sha256(canonical.encode()).hexdigest()


@pytest.mark.parametrize(
    ("value", "canonical"),
    [
        ({"b": 1, "a": [True, None, "é"]}, '{"a":[true,null,"\\u00e9"],"b":1}'),
        ({"x": math.nan, "y": math.inf, "z": -math.inf}, '{"x":"NaN","y":"Infinity","z":"-Infinity"}'),
        ("\x00\ud800", '"\\u0000\\ud800"'),
        (datetime(2026, 3, 1, 12, 0, 0, 5000, tzinfo=UTC), '"2026-03-01T12:00:00.005+00:00"'),
        (datetime(2026, 3, 1, 14, tzinfo=timezone(timedelta(hours=2))), '"2026-03-01T12:00:00.000+00:00"'),
        (datetime(2026, 3, 1, 12), '"2026-03-01T12:00:00.000+00:00"'),  # deliberately without a zone
        ({"b", "a"}, '["a","b"]'),
        (MappingProxyType({"a": 1}), '{"a":1}'),
        (
            DatasetInput("d", None, None, None, None),
            '{"context":null,"digest":null,"name":"d","source":null,"source_type":null}',
        ),
    ],
)
def test_a_fingerprint_is_the_sha256_of_canonical_json(value: object, canonical: str) -> None:
    assert fingerprint(value) == sha256(canonical)


def test_any_change_of_a_run_changes_its_fingerprint() -> None:
    run = TrainingRun("r1", metrics={"auc": 0.9}, tags={"a": "b"}, datasets=(DatasetInput("d", "1", None, None, None),))
    changed_runs = [
        TrainingRun("r1", metrics={"auc": math.nan}, tags=run.tags, datasets=run.datasets),
        TrainingRun("r1", metrics=run.metrics, tags={"a": "c"}, datasets=run.datasets),
        TrainingRun("r1", metrics=run.metrics, tags=run.tags, datasets=(DatasetInput("d", "2", None, None, None),)),
    ]
    assert len({fingerprint(run), *map(fingerprint, changed_runs)}) == 4


def test_a_value_without_canonical_json_is_refused() -> None:
    with pytest.raises(TypeError, match="bytes has no canonical JSON"):
        fingerprint({"a": b""})


@given(st.dictionaries(TEXT, st.floats() | TEXT))
def test_the_order_of_keys_does_not_matter(value: dict[str, float | str]) -> None:
    assert fingerprint(dict(reversed(value.items()))) == fingerprint(value)
