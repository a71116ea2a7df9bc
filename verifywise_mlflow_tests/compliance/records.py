"""Records for tests, of which only what matters is said."""

from __future__ import annotations

from datetime import datetime

from verifywise_mlflow.compliance.rules.rule import Example
from verifywise_mlflow.compliance.verdict import Verdict
from verifywise_mlflow.normalizer.record import CanonicalRecord, Json


def record_with(**fields: Json | datetime) -> CanonicalRecord:
    """Return a record that shows these fields and no other."""
    return Example.model_construct(record=fields, verdict=Verdict.PASS).canonical_record()
