"""Writes records and verdicts to the store directly, as the last two stages write them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from verifywise_mlflow.compliance.badge import version_badge
from verifywise_mlflow.compliance.verdict import CompleteVerdict, RuleResult, Verdict
from verifywise_mlflow.normalizer.fingerprint import fingerprint
from verifywise_mlflow.normalizer.mapping.tag_mapping import default_mapping
from verifywise_mlflow.normalizer.normalize import normalize
from verifywise_mlflow.normalizer.record_inputs import RecordInputs
from verifywise_mlflow.persistence.repositories import records, verdicts
from verifywise_mlflow.persistence.repositories.records import BuiltRecord, PendingRecord
from verifywise_mlflow.persistence.repositories.verdict_batch import (
    EvaluationContext,
    PolicyIdentity,
    VerdictBatch,
    VerdictRows,
)
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.store import Store

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def day(number: int) -> datetime:
    """Noon of a day in March."""
    return NOON + timedelta(days=number - 1)


def write_record(
    store: Store,
    record_inputs: RecordInputs,
    now: datetime,
    *,
    sync_id: str | None = None,
    tenant_id: str = "acme",
    deleted_at: datetime | None = None,
    metrics: dict[str, float] | None = None,
) -> int:
    """Write the record of these inputs; return the number of added states. The sync ID contains the day."""
    normalized = normalize(record_inputs, default_mapping())
    if metrics is not None:
        normalized = replace(normalized, record=replace(normalized.record, metrics=metrics))
    key = (normalized.record.model_name, normalized.record.version_number)
    revisions = {"version_revision": 1, "mapping_digest": "m"}
    pending = PendingRecord(key, {"deleted_at": deleted_at}, None, None, revisions)
    built_record = BuiltRecord.of(pending, normalized)
    with store.begin(tenant_id) as session:
        return len(records.write_records(session, [built_record], sync_id or f"sync of day {now.day}", now))


def write_verdicts(
    store: Store,
    verdicts_by_rule: dict[str, Verdict],
    now: datetime,
    *,
    key: Key = ("fraud", 3),
    policy_version: str = "1",
    reason: str = "Because.",
    complete: bool = True,
) -> None:
    """Write the verdicts of some rules on a version with a record, and the badge of a complete or incomplete record."""
    with store.begin("acme") as session:
        (pending,) = [
            item
            for item in verdicts.pending_evaluations(session, policy_digest="", after=None, limit=100)
            if item.key == key
        ]
        results = [
            CompleteVerdict(RuleResult(rule, 1, verdict, reason, '{"owner":null}'), fingerprint([verdict, reason]))
            for rule, verdict in verdicts_by_rule.items()
        ]
        policy_of = dict.fromkeys(verdicts_by_rule, PolicyIdentity("p", policy_version))
        context = EvaluationContext(f"digest {policy_version}", f"sync of day {now.day}", now)
        batch = VerdictBatch(context)
        batch.add(pending, results, version_badge(results, complete=complete), VerdictRows(policy_of))
        batch.write(session)
