"""The content of a stage's table: a value that changes with the content, and the newest rows for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Table, and_, func, select

from verifywise_mlflow.persistence import tables
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import compliance_badges, integrity_events, model_versions

_PREVIEW_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "registered_models": ("model_name", "description", "aliases", "deleted_at", "changed_at"),
    "model_versions": (
        "model_name",
        "version_number",
        "stage",
        "aliases",
        "status",
        "run_id",
        "deleted_at",
        "changed_at",
    ),
    "training_runs": ("run_id", "experiment_name", "user_id", "status", "read_error", "changed_at"),
    "artifact_manifests": ("model_name", "version_number", "retry", "hashed_at", "changed_at"),
    "canonical_records": (
        *("model_name", "version_number", "lifecycle_stage", "owner", "risk_category", "privacy_assessment_status"),
        *("incomplete", "deleted_at", "changed_at"),
    ),
    "compliance_results": ("model_name", "version_number", "badge", "changed_at"),
}
"""The columns of a preview, by stage."""


def _table(stage: str) -> Table:
    # A version's badge represents its verdicts, which would be some thirty times as many rows.
    return compliance_badges if stage == "compliance_results" else tables.metadata.tables[f"{tables.SCHEMA}.{stage}"]


def _write_column(table: Table) -> Column[Any]:
    """Return the column that grows with each write of a row."""
    return table.c.evaluated_at if table is compliance_badges else table.c.revision


def newest_write(session: TenantSession, stage: str) -> int | datetime | None:
    """Return a value that changes whenever the content of a tenant's rows of a stage changes; None without such rows.

    The value is the newest revision: each write of content draws a new revision, and a deleted object keeps its row.
    Verdicts have no revision. Their value is the time of the last evaluation, even if that evaluation changed nothing.
    """
    table = _table(stage)
    newest = select(func.max(_write_column(table))).where(table.c.tenant_id == session.tenant_id)
    return session.scalar(newest)  # type: ignore[no-any-return]  # the column has either type


def newest_rows(session: TenantSession, stage: str, limit: int) -> Sequence[Mapping[str, object]]:
    """Return the rows of a stage that were written last, newest first, with the columns of a preview."""
    table = _table(stage)
    query = (
        select(*(table.c[name] for name in _PREVIEW_COLUMNS[stage]))
        .where(table.c.tenant_id == session.tenant_id)
        .order_by(_write_column(table).desc())
        .limit(limit)
    )
    return [dict(row) for row in session.execute(query).mappings()]


def _under_living_versions(tenant_id: str) -> ColumnElement[bool]:
    events, versions = integrity_events, model_versions
    return and_(
        events.c.tenant_id == tenant_id,
        versions.c.tenant_id == events.c.tenant_id,
        versions.c.model_name == events.c.model_name,
        versions.c.version_number == events.c.version_number,
        versions.c.incarnation == events.c.incarnation,
        versions.c.deleted_at.is_(None),
    )


def count_changed_files(session: TenantSession) -> int:
    """Return how many changes of files were seen in living versions that did not change."""
    counted = select(func.count()).select_from(integrity_events, model_versions)
    return session.scalar(counted.where(_under_living_versions(session.tenant_id))) or 0


def newest_changed_files(session: TenantSession, limit: int) -> Sequence[Mapping[str, object]]:
    """Return the newest changes of files that were seen in living versions that did not change."""
    events = integrity_events
    query = (
        select(events.c.model_name, events.c.version_number, events.c.path, events.c.kind, events.c.seen_at)
        .select_from(events, model_versions)
        .where(_under_living_versions(session.tenant_id))
        .order_by(events.c.event_id.desc())
        .limit(limit)
    )
    return [dict(row) for row in session.execute(query).mappings()]
