"""Stage 6: the verdicts and badges, from our store alone: MLflow is not asked."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, time

from verifywise_mlflow import __version__
from verifywise_mlflow.compliance.badge import Badge, version_badge
from verifywise_mlflow.compliance.evaluation import REVISION, Evaluator
from verifywise_mlflow.compliance.rules.ruleset import RuleSet
from verifywise_mlflow.normalizer.fingerprint import fingerprint
from verifywise_mlflow.persistence.repositories import verdicts
from verifywise_mlflow.persistence.repositories.verdicts import DueVerdict, Judging, PolicyIdentity, Writing
from verifywise_mlflow.persistence.row_mapping import BATCH, Key
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.pipeline import waiver_sync
from verifywise_mlflow.pipeline.config_versioning import record_policy_version
from verifywise_mlflow.pipeline.context import Note, Progress, StageContext
from verifywise_mlflow.services.tenant_policies import load_rules


def refresh(context: StageContext) -> Progress:
    """Judge the records that are new, changed, or not yet judged by these policies; daily where a rule asks the day."""
    rules = load_rules(context.tenant)
    notes = waiver_sync.sync_waivers(context, rules)
    progress = evaluate_due(context, rules)
    progress.notes += map(Note, notes)
    return progress


def evaluate_due(context: StageContext, rules: RuleSet) -> Progress:
    """Judge the records that these rules have not judged as they are now.

    While a batch is judged here, the database writes the one before and reads the next.
    """
    progress = Progress(is_reconcile=True)
    digest = evaluation_digest(rules)
    record_policy_version(context, rules, digest)
    court = _Court(context, rules, digest)
    with context.begin() as session:
        batch = court.due(session, None)
    written: Writing | None = None
    while batch or written:
        with context.begin() as session, ThreadPoolExecutor(1) as database:  # done before the transaction ends
            following = database.submit(court.write_and_read, session, written, batch)
            judged = court.judged(batch, progress) if batch else None
            batch = following.result()
        if written:
            progress.read += len(written)
            progress.changed += len(written)
            context.report_progress(progress.read, progress.read)
        written = judged
    return progress


class _Court:
    """Reads what is due, judges it, and writes the verdicts, for one tenant by one set of rules."""

    def __init__(self, context: StageContext, rules: RuleSet, digest: str) -> None:
        day = context.now.astimezone(UTC).date()
        policies = rules.policy_of.items()
        policy_of = {rule_id: PolicyIdentity(policy.id, str(policy.version)) for rule_id, policy in policies}
        self._judging = Judging(context.tenant.tenant_id, policy_of, digest, context.sync_id, context.now)
        self._judged_since = datetime.combine(day, time(), UTC) if rules.uses_today else None
        self._evaluator = Evaluator(rules, today=day)

    def due(self, session: TenantSession, after: Key | None) -> Sequence[DueVerdict]:
        """Return the next records that are due."""
        return verdicts.due_verdicts(
            session,
            policy_digest=self._judging.digest,
            after=after,
            limit=BATCH,
            judged_since=self._judged_since,
            selection=self._evaluator.selection,
        )

    def judged(self, due: Sequence[DueVerdict], progress: Progress) -> Writing:
        """Return the verdicts on records, as they are to be written."""
        writing = Writing(self._judging)
        for item in due:
            results = self._evaluator.evaluate_subject(item.subject)
            word = version_badge(results, complete=not item.subject.incomplete)
            writing.take(item, results, word)
            progress.incomplete += word is Badge.INCOMPLETE
        return writing

    def write_and_read(
        self, session: TenantSession, written: Writing | None, before: Sequence[DueVerdict]
    ) -> Sequence[DueVerdict]:
        """Write the verdicts on a batch; return the one that comes after another that is still judged."""
        if written:
            written.write(session)
        return self.due(session, before[-1].key) if len(before) == BATCH else ()


def evaluation_digest(rules: RuleSet) -> str:
    """Return what stands beside the badges: another policy, threshold or release judges all records anew."""
    return fingerprint([rules.digest, __version__, REVISION])
