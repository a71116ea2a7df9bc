"""The sentences of an alert about damaged records."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from verifywise_mlflow.common.untrusted_text import quote
from verifywise_mlflow.persistence.pg_text_codec import unescape
from verifywise_mlflow.services.record_verification.log_check import positions
from verifywise_mlflow.services.record_verification.report import RecordDamage, RecordReport

MAX_NAMED: Final = 3
"""The maximum number of damaged rows that an alert names."""


def damage_sentence(report: RecordReport) -> str | None:
    """Return how many rows are damaged, the first of them, and what to do; None if no row is damaged."""
    if report.is_intact:
        return None
    count = report.damage_count
    rows = "1 row is not as it was" if count == 1 else f"{count:,} rows are not as they were"
    named = "; ".join(map(_named, report.damages[:MAX_NAMED]))
    more = "; …" if count > MAX_NAMED else ""
    return f"{rows} written: {named}{more}. Run verifywise-mlflow audit verify {report.tenant_id} --records"


def acceptance_sentence(report: RecordReport, since: datetime) -> str | None:
    """Return a sentence about the last accepted states, if they were accepted since a given time; otherwise None.

    An acceptance is not damage, but the operators should notice an acceptance that was not theirs. An acceptance whose
    entry cannot be read counts as new.
    """
    new = [part for part in report.accepted if part.accepted_at is None or part.accepted_at >= since]
    if not new:
        return None
    part = new[-1]
    return (
        f"{part.by} accepted states that no sync committed, {positions(part.first, part.last)} of the log: "
        f"{part.reason}. Entry {part.entry:,} of the trail says so; verifywise-mlflow audit verify {report.tenant_id} "
        "--records names them"
    )


def _named(damage: RecordDamage) -> str:
    model = quote(unescape(damage.model_name)) if damage.model_name else ""
    version = f"version {damage.version_number}" if damage.version_number else ""
    row = quote(unescape(damage.row)) if damage.row else ""
    fields = f"({', '.join(change.name for change in damage.fields)})" if damage.fields else ""
    return " ".join(filter(None, (damage.kind, damage.table, model, version, row, fields)))
