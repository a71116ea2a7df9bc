"""Stage 6: the verdicts and badges, from our store alone: MLflow is not asked."""

from __future__ import annotations

from verifywise_mlflow import __version__
from verifywise_mlflow.compliance.evaluation import Evaluator
from verifywise_mlflow.compliance.policy import default_policy
from verifywise_mlflow.compliance.verdict import Badge, badge
from verifywise_mlflow.normalizer.fingerprint import fingerprint
from verifywise_mlflow.persistence import verdicts
from verifywise_mlflow.persistence.rows import BATCH, Key
from verifywise_mlflow.persistence.verdicts import Judged, PolicyIdentity
from verifywise_mlflow.pipeline.adoption import adopt_policy
from verifywise_mlflow.pipeline.stage import Progress, StageContext


def refresh(context: StageContext) -> Progress:
    """Judge the records that are new, changed, or not yet judged by this policy."""
    progress = Progress(reconciled=True)
    policy = default_policy()
    evaluator = Evaluator(policy)
    digest = fingerprint([policy.digest, __version__])
    identity = PolicyIdentity(policy.id, str(policy.version), digest)
    adopt_policy(context, policy, digest)
    after: Key | None = None
    while True:
        with context.begin() as connection:
            due = verdicts.due_verdicts(
                connection, context.tenant.tenant_id, policy_digest=digest, after=after, limit=BATCH
            )
            if not due:
                return progress
            judged = []
            for item in due:
                results = evaluator.evaluate(item.record, item.incomplete)
                judged.append(Judged(item, results, badge(results, complete=not item.incomplete)))
            verdicts.write_verdicts(
                connection, context.tenant.tenant_id, identity, judged, context.sync_id, context.now
            )
        after = due[-1].key
        progress.read += len(judged)
        progress.changed += len(judged)
        progress.incomplete += sum(1 for item in judged if item.badge is Badge.INCOMPLETE)
        context.show(progress.read, progress.read)
