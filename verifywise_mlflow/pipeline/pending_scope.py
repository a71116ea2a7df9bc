"""Selects the stored versions that a stage looks at: all versions in a reconcile, otherwise the changed versions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from verifywise_mlflow.persistence.repositories import stage_watermarks
from verifywise_mlflow.persistence.repositories.stage_watermarks import MAX_CHANGED, StageScope
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.pipeline.context import StageContext


def stage_scope(context: StageContext, session: TenantSession, basis: str, *, is_full: bool = False) -> StageScope:
    """Return the versions that the stage has to look at.

    Args:
        context: the stage.
        session: a transaction of the tenant.
        basis: a digest of everything that makes a version pending, except the rows that the version depends on.
        is_full: whether to look at all versions although no reconcile is due.
    """
    return stage_watermarks.stage_scope(session, context.stage, basis, is_full=is_full or context.is_reconcile_due)


def advance_watermark(
    context: StageContext,
    scope: StageScope,
    processed: Sequence[Key],
    still_pending: Callable[[TenantSession, Sequence[Key]], Collection[object]],
) -> None:
    """Advance the stage's watermark unless a version is still pending, so that the next sync looks at newer rows only.

    Args:
        context: the stage.
        scope: the versions that the stage looked at.
        processed: the versions that were pending. If there are too many to look at again, the next sync looks at all
            versions.
        still_pending: returns which of the processed versions are still pending.
    """
    if scope.is_current or len(processed) > MAX_CHANGED:
        return
    with context.begin() as session:
        if not (processed and still_pending(session, processed)):
            stage_watermarks.advance(session, scope)
