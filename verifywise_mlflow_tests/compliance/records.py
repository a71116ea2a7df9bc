"""Records for tests: only the fields that matter have a value."""

from __future__ import annotations

from datetime import datetime

from verifywise_mlflow.common.json_value import Json
from verifywise_mlflow.compliance.rules.rule import Example
from verifywise_mlflow.compliance.verdict import Verdict
from verifywise_mlflow.normalizer.record import CanonicalRecord


def record_with(**fields: Json | datetime) -> CanonicalRecord:
    """Return a record with these fields and no others."""
    return Example.model_construct(record=fields, verdict=Verdict.PASS).canonical_record()
