"""What an alert says about damaged records."""

from __future__ import annotations

from typing import Final

from verifywise_mlflow.common.untrusted_text import quote
from verifywise_mlflow.persistence.pg_text_codec import unescape
from verifywise_mlflow.services.record_verification.report import RecordDamage, RecordReport

MAX_NAMED: Final = 3
"""Damaged rows that an alert names."""


def damage_sentence(report: RecordReport) -> str | None:
    """Return which rows are damaged and what to do; None if none is."""
    if report.is_intact:
        return None
    count = report.damage_count
    rows = "1 row is not as it was" if count == 1 else f"{count:,} rows are not as they were"
    named = "; ".join(map(_named, report.damages[:MAX_NAMED]))
    more = "; …" if count > MAX_NAMED else ""
    return f"{rows} written: {named}{more}. Run verifywise-mlflow audit verify {report.tenant_id} --records"


def _named(damage: RecordDamage) -> str:
    model = quote(unescape(damage.model_name)) if damage.model_name else ""
    version = f"version {damage.version_number}" if damage.version_number else ""
    row = quote(unescape(damage.row)) if damage.row else ""
    fields = f"({', '.join(change.name for change in damage.fields)})" if damage.fields else ""
    return " ".join(filter(None, (damage.kind, damage.table, model, version, row, fields)))
