"""Tells the trail of objects that cannot be read, in the transaction of the rows that say so, where there are such."""

from __future__ import annotations

from verifywise_mlflow.persistence.repositories import audit_log
from verifywise_mlflow.persistence.store import Connection
from verifywise_mlflow.pipeline.context import Progress, StageContext

TOLD_A_STAGE = 1_000
"""Objects of one stage that get an entry each; a note in the sync's own says how many more there are."""


def tell_unreadable(context: StageContext, connection: Connection, progress: Progress) -> None:
    """Give those of the stage's unreadable objects an entry that have none yet."""
    untold = progress.unreadable[progress.told : max(progress.told, TOLD_A_STAGE)]
    audit_log.append(
        connection,
        [
            context.entry(
                "object unreadable", "incomplete", object_kind=item.kind, object_name=item.name, reason=item.reason
            )
            for item in untold
        ],
    )
    progress.told = len(progress.unreadable)
