"""Records and verdicts written straight to the store, as the last two stages write them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from verifywise_mlflow.compliance.badge import version_badge
from verifywise_mlflow.compliance.verdict import RuleResult, Verdict
from verifywise_mlflow.normalizer.fingerprint import fingerprint
from verifywise_mlflow.normalizer.mapping.tag_mapping import default_mapping
from verifywise_mlflow.normalizer.normalize import normalize
from verifywise_mlflow.normalizer.record_inputs import RecordInputs
from verifywise_mlflow.persistence.repositories import records, verdicts
from verifywise_mlflow.persistence.repositories.records import BuiltRecord, PendingRecord
from verifywise_mlflow.persistence.repositories.verdicts import EvaluationContext, PolicyIdentity, VerdictBatch
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.store import Store

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def day(number: int) -> datetime:
    """Noon of a day in March."""
    return NOON + timedelta(days=number - 1)


def write_record(
    store: Store,
    given: RecordInputs,
    now: datetime,
    *,
    sync_id: str | None = None,
    tenant_id: str = "acme",
    deleted_at: datetime | None = None,
    metrics: dict[str, float] | None = None,
) -> int:
    """Write the record of what MLflow shows; return how many states that added. The sync is named after its day."""
    normalized = normalize(given, default_mapping())
    if metrics is not None:
        normalized = replace(normalized, record=replace(normalized.record, metrics=metrics))
    key = (normalized.record.model_name, normalized.record.version_number)
    revisions = {"version_revision": 1, "mapping_digest": "m"}
    due = PendingRecord(key, {"deleted_at": deleted_at}, None, None, revisions)
    built = BuiltRecord(due, normalized, fingerprint([normalized, deleted_at]))
    with store.begin(tenant_id) as session:
        return len(records.write_records(session, [built], sync_id or f"sync of day {now.day}", now))


def write_verdicts(
    store: Store,
    words: dict[str, Verdict],
    now: datetime,
    *,
    key: Key = ("fraud", 3),
    policy_version: str = "1",
    reason: str = "Because.",
) -> None:
    """Write the verdicts of some rules on a version whose record is there."""
    with store.begin("acme") as session:
        (due,) = [
            item
            for item in verdicts.pending_evaluations(session, policy_digest="", after=None, limit=100)
            if item.key == key
        ]
        results = [Written(RuleResult(rule, 1, word, reason, '{"owner":null}')) for rule, word in words.items()]
        policy_of = dict.fromkeys(words, PolicyIdentity("p", policy_version))
        judging = EvaluationContext("acme", policy_of, f"digest {policy_version}", f"sync of day {now.day}", now)
        writing = VerdictBatch(judging)
        writing.add(due, results, version_badge((one.given for one in results), complete=True))
        writing.write(session)


@dataclass(frozen=True, slots=True)
class Written:
    """A verdict that nothing was judged for."""

    given: RuleResult

    @property
    def rule_id(self) -> str:
        """Which rule's it is."""
        return self.given.rule_id

    def fingerprint(self) -> str:
        """Return a hash of the verdict."""
        return fingerprint([self.given.verdict, self.given.reason])

    def result(self) -> RuleResult:
        """Return the verdict."""
        return self.given
