"""Stage 6: the verdicts and badges, from our store alone: MLflow is not asked."""

from __future__ import annotations

from datetime import UTC, datetime, time

from verifywise_mlflow import __version__
from verifywise_mlflow.compliance.evaluation import REVISION, Evaluator
from verifywise_mlflow.compliance.ruleset import RuleSet
from verifywise_mlflow.compliance.verdict import Badge, badge
from verifywise_mlflow.normalizer.fingerprint import fingerprint
from verifywise_mlflow.persistence import verdicts
from verifywise_mlflow.persistence.rows import BATCH, Key
from verifywise_mlflow.persistence.verdicts import Judged, PolicyIdentity
from verifywise_mlflow.pipeline.adoption import adopt_policy
from verifywise_mlflow.pipeline.policies import rules_of
from verifywise_mlflow.pipeline.stage import Progress, StageContext


def refresh(context: StageContext) -> Progress:
    """Judge the records that are new, changed, or not yet judged by these policies; daily where a rule asks the day."""
    return judge_due(context, rules_of(context.tenant))


def judge_due(context: StageContext, rules: RuleSet) -> Progress:
    """Judge the records that these rules have not judged as they are now."""
    progress = Progress(reconciled=True)
    day = context.now.astimezone(UTC).date()
    evaluator = Evaluator(rules, today=day)
    digest = judging_digest(rules)
    policy_of = {rule_id: PolicyIdentity(policy.id, str(policy.version)) for rule_id, policy in rules.policy_of.items()}
    adopt_policy(context, rules, digest)
    judged_since = datetime.combine(day, time(), UTC) if rules.uses_today else None
    after: Key | None = None
    while True:
        with context.begin() as connection:
            due = verdicts.due_verdicts(
                connection,
                context.tenant.tenant_id,
                policy_digest=digest,
                after=after,
                limit=BATCH,
                judged_since=judged_since,
                selection=evaluator.selection,
            )
            if not due:
                return progress
            judged = []
            for item in due:
                results = evaluator.judge(item.subject)
                judged.append(Judged(item, results, badge(results, complete=not item.subject.incomplete)))
            verdicts.write_verdicts(
                connection, context.tenant.tenant_id, policy_of, digest, judged, context.sync_id, context.now
            )
        after = due[-1].key
        progress.read += len(judged)
        progress.changed += len(judged)
        progress.incomplete += sum(1 for item in judged if item.badge is Badge.INCOMPLETE)
        context.show(progress.read, progress.read)


def judging_digest(rules: RuleSet) -> str:
    """Return what stands beside the badges: another policy, threshold or release judges all records anew."""
    return fingerprint([rules.digest, __version__, REVISION])
