"""What stands in a stage's table: which state it is in, and its newest rows for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Table, and_, func, select

from verifywise_mlflow.persistence import tables
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import compliance_badges, integrity_events, model_versions

_SHOWN: Final[Mapping[str, tuple[str, ...]]] = {
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
"""The columns that fit on a page, by the stage."""


@dataclass(frozen=True, slots=True)
class StageState:
    """What changes whenever a stage's rows do."""

    rows: int
    newest: int | datetime | None
    """The newest revision; of verdicts, which draw none, when the last was given."""


def _table(stage: str) -> Table:
    # A badge stands for the verdicts on a version, of which there are some thirty times as many.
    return compliance_badges if stage == "compliance_results" else tables.metadata.tables[f"{tables.SCHEMA}.{stage}"]


def _writing(table: Table) -> Column[Any]:
    """Return the column that each writing of a row moves forward."""
    return table.c.evaluated_at if table is compliance_badges else table.c.revision


def stage_state(session: TenantSession, stage: str) -> StageState:
    """Return the state that a tenant's rows of a stage are in.

    No row is written that did not change, each writing draws a new revision, and what is gone keeps its row: so two
    equal states are of equal contents, and an erasure shows in the count.
    """
    table = _table(stage)
    row = session.execute(
        select(func.count(), func.max(_writing(table))).where(table.c.tenant_id == session.tenant_id)
    ).one()
    return StageState(*row)


def newest_rows(session: TenantSession, stage: str, limit: int) -> Sequence[Mapping[str, object]]:
    """Return the rows of a stage that were written last, the newest first, with the columns that fit on a page."""
    table = _table(stage)
    query = (
        select(*(table.c[name] for name in _SHOWN[stage]))
        .where(table.c.tenant_id == session.tenant_id)
        .order_by(_writing(table).desc())
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
    """Return how many files were seen to change under versions that live and did not change."""
    counted = select(func.count()).select_from(integrity_events, model_versions)
    return session.scalar(counted.where(_under_living_versions(session.tenant_id))) or 0


def newest_changed_files(session: TenantSession, limit: int) -> Sequence[Mapping[str, object]]:
    """Return the newest of those files."""
    events = integrity_events
    query = (
        select(events.c.model_name, events.c.version_number, events.c.path, events.c.kind, events.c.seen_at)
        .select_from(events, model_versions)
        .where(_under_living_versions(session.tenant_id))
        .order_by(events.c.event_id.desc())
        .limit(limit)
    )
    return [dict(row) for row in session.execute(query).mappings()]
