"""Stage 6: the verdicts and badges. They are computed from our store alone: MLflow is not read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, time

from verifywise_mlflow import __version__
from verifywise_mlflow.compliance.badge import Badge, version_badge
from verifywise_mlflow.compliance.environment_facts.environment_facts import EnvironmentFacts
from verifywise_mlflow.compliance.evaluation import EVALUATION_REVISION
from verifywise_mlflow.compliance.reason_text import REASON_REVISION
from verifywise_mlflow.compliance.rules.ruleset import RuleSet
from verifywise_mlflow.normalizer.fingerprint import fingerprint
from verifywise_mlflow.persistence.repositories import delivery_outbox, verdicts
from verifywise_mlflow.persistence.repositories.stage_watermarks import StageScope
from verifywise_mlflow.persistence.repositories.verdict_batch import (
    EvaluationContext,
    PolicyIdentity,
    VerdictBatch,
    VerdictRows,
)
from verifywise_mlflow.persistence.repositories.verdicts import PendingEvaluation
from verifywise_mlflow.persistence.repositories.versions_in_use import keys_in_use
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.table_statistics import analyze_grown_tables
from verifywise_mlflow.persistence.tables import compliance_badges, version_verdicts
from verifywise_mlflow.pipeline import waiver_sync
from verifywise_mlflow.pipeline.ai_system_sync import sync_ai_systems
from verifywise_mlflow.pipeline.context import Note, Progress, StageContext
from verifywise_mlflow.pipeline.outgoing_events import ComplianceEvents
from verifywise_mlflow.pipeline.overlapped_batches import overlapped_batches
from verifywise_mlflow.pipeline.pending_scope import advance_watermark, stage_scope
from verifywise_mlflow.pipeline.stage_configurations import record_policy_version
from verifywise_mlflow.services.sandboxed_evaluation import SandboxedEvaluator
from verifywise_mlflow.services.tenant_policies import load_facts, load_rules

RECORDS_PER_BATCH = 250
"""The number of records in a batch. The verdicts on one record take about 35 KB."""


def refresh(context: StageContext) -> Progress:
    """Evaluate the records that are new or changed or whose policies changed, and daily if a rule uses the day."""
    rules = load_rules(context.tenant)
    warnings = waiver_sync.sync_waivers(context, rules) + sync_ai_systems(context)
    progress = evaluate_due(context, rules)
    progress.notes += map(Note, warnings)
    return progress


def evaluate_due(context: StageContext, rules: RuleSet) -> Progress:
    """Evaluate the records whose current state these rules have not evaluated."""
    progress = Progress(is_reconcile=context.is_reconcile_due)
    facts = load_facts(context.tenant)
    with closing(_Evaluation(context, rules, facts)) as evaluation:
        record_policy_version(context, rules, evaluation.digest, evaluation.facts)
        progress.notes += map(Note, evaluation.problems)
        with context.begin() as session:
            scope = evaluation.look_at(session)
        processed: list[Key] = []

        for batch in overlapped_batches(
            context.begin,
            read=evaluation.due,
            compute=evaluation.evaluate,
            write=evaluation.write,
            full_batch=RECORDS_PER_BATCH,
        ):
            processed += batch.keys
            progress.read += len(batch)
            progress.changed += len(batch)
            progress.incomplete += batch.count(Badge.INCOMPLETE)
            context.report_progress(progress.read, progress.read)
        advance_watermark(context, scope, processed, evaluation.still_due)
    return progress


class _Evaluation:
    """Reads due records, evaluates them and writes their verdicts, for one tenant and one set of rules."""

    def __init__(self, context: StageContext, rules: RuleSet, facts: EnvironmentFacts) -> None:
        day = context.now.astimezone(UTC).date()
        policies = rules.policy_of.items()
        policy_of = {rule_id: PolicyIdentity(policy.id, str(policy.version)) for rule_id, policy in policies}
        self._evaluator = SandboxedEvaluator(rules, today=day, environment_facts=facts)
        self.facts = facts.digests(self._evaluator.selection)
        """The digests of the environment facts that the rules read, by variable."""
        self.problems = facts.problems(self._evaluator.selection)
        """Problems of the environment facts that the operator has to correct."""
        self.digest = evaluation_digest(rules, self.facts)
        self._context = context
        self._among: Sequence[Key] | None = None
        self._rows = VerdictRows(policy_of)
        self._run = EvaluationContext(self.digest, context.sync_id, context.now)
        self._evaluated_since = datetime.combine(day, time(), UTC) if rules.uses_today else None
        self._events = ComplianceEvents(context, rules.rules)

    def close(self) -> None:
        """End the process that evaluates the tenant's own rules."""
        self._evaluator.close()

    def look_at(self, session: TenantSession) -> StageScope:
        """Choose the records among which to look for due records: all records, or the records that changed.

        If a version in use changed, the model's other versions in use are evaluated, too.
        """
        day = self._evaluated_since.isoformat() if self._evaluated_since else ""
        scope = stage_scope(self._context, session, f"{self.digest} {day}")
        if scope.keys and verdicts.reads_versions(self._evaluator.selection):
            scope = scope.including(keys_in_use(session, {name for name, _ in scope.keys}))
        self._among = scope.keys
        return scope

    def due(self, session: TenantSession, after: PendingEvaluation | None) -> Sequence[PendingEvaluation]:
        """Return the next batch of due records after ``after``."""
        return self._pending(session, after.key if after else None, self._among)

    def still_due(self, session: TenantSession, keys: Sequence[Key]) -> Sequence[PendingEvaluation]:
        """Return the records with these keys that are due, at most a batch."""
        return self._pending(session, None, keys)

    def _pending(
        self, session: TenantSession, after: Key | None, among: Sequence[Key] | None
    ) -> Sequence[PendingEvaluation]:
        return verdicts.pending_evaluations(
            session,
            policy_digest=self._run.digest,
            after=after,
            limit=RECORDS_PER_BATCH,
            evaluated_since=self._evaluated_since,
            selection=self._evaluator.selection,
            among=among,
        )

    def evaluate(self, due: Sequence[PendingEvaluation]) -> VerdictBatch:
        """Return the verdicts on a batch of records, ready to write."""
        writing = VerdictBatch(self._run)
        subjects = [item.subject() for item in due]
        for item, subject, results in zip(due, subjects, self._evaluator.evaluate(subjects), strict=True):
            badge = version_badge(results, complete=not subject.incomplete)
            writing.add(item, results, badge, self._rows)
        return writing

    def write(self, session: TenantSession, batch: VerdictBatch) -> VerdictBatch:
        """Write the verdicts on a batch of records, and return it."""
        before = self._events.states(session, batch.keys)
        batch.write(session)
        delivery_outbox.enqueue(
            session,
            self._context.tenant.delivery.state_targets(),
            batch.new_states,
            cause="verdicts",
            sync_id=self._context.sync_id,
            now=self._context.now,
        )
        self._events.write(session, before, batch.keys)
        analyze_grown_tables(session, [version_verdicts, compliance_badges])
        return batch


def evaluation_digest(rules: RuleSet, facts: Mapping[str, str]) -> str:
    """Return the digest that is stored with each badge. If it changes, all living records are evaluated again.

    The digest depends on the policies, the thresholds and the release. If a rule reads vulnerabilities or ends of life,
    it also depends on the stored copies of these data.
    """
    return fingerprint([rules.digest, __version__, EVALUATION_REVISION, REASON_REVISION, dict(facts)])
