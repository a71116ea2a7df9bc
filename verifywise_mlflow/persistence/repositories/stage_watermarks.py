"""Watermarks of the stages that look for pending versions in our store.

Every row that a version depends on has a revision from one sequence. A watermark states that with these settings, no
version that depends on rows up to this revision was pending. So the next sync looks only at the versions of newer rows,
which it finds by the indexes on the revisions. One stage of a tenant runs at a time, so no other writer has drawn an
older revision without committing it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, Table, and_, any_, func, select, union_all
from sqlalchemy.dialects.postgresql import insert

from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import (
    artifact_manifests,
    canonical_records,
    logged_models,
    model_versions,
    prompts,
    record_inputs,
    registered_models,
    stage_watermarks,
    training_runs,
)

MAX_CHANGED: Final = 2_000
"""The maximum number of changed versions that are looked up one by one. For more versions, a pass over all versions is
faster."""
_REVISED: Final = (
    registered_models,
    model_versions,
    training_runs,
    logged_models,
    artifact_manifests,
    canonical_records,
    prompts,
)


@dataclass(frozen=True, slots=True)
class StageScope:
    """The versions that a stage has to look at."""

    stage: str
    basis: str
    """A digest of the settings of the stage."""
    newest_revision: int
    """The newest revision of the tenant's rows when the stage began."""
    keys: Sequence[Key] | None
    """The versions, sorted; None for all versions."""
    is_current: bool
    """Whether the watermark is at the newest revision."""

    @property
    def is_empty(self) -> bool:
        """Whether the stage has nothing to look at and nothing to record."""
        return self.is_current and self.keys is not None and not self.keys

    def including(self, keys: Collection[Key] | None) -> StageScope:
        """Return a scope that includes more versions. None means all versions, and so do too many versions."""
        if self.keys is None or (keys is not None and not keys):
            return self
        together = None if keys is None else sorted({*self.keys, *keys})
        return replace(self, keys=together if together and len(together) <= MAX_CHANGED else None)


def stage_scope(session: TenantSession, stage: str, basis: str, *, is_full: bool) -> StageScope:
    """Return the versions that a stage has to look at: all, or the versions with a row newer than the watermark.

    Args:
        session: the tenant's transaction.
        stage: the stage.
        basis: a digest of everything else that makes a version pending.
        is_full: whether to look at all versions, as every reconcile does.
    """
    table = stage_watermarks
    of_stage = select(table.c.revision).where(
        table.c.tenant_id == session.tenant_id, table.c.stage == stage, table.c.basis == basis
    )
    newest, watermark = session.execute(select(_newest_revision(session), of_stage.scalar_subquery())).one()
    keys = None if is_full or watermark is None else _changed_since(session, watermark, newest)
    return StageScope(stage, basis, newest, keys, is_current=watermark == newest)


def advance(session: TenantSession, scope: StageScope) -> None:
    """Set a stage's watermark to the revision of the stage's scope. Nothing in the scope may be pending any more."""
    if scope.is_current:
        return
    statement = insert(stage_watermarks).values(
        tenant_id=session.tenant_id, stage=scope.stage, basis=scope.basis, revision=scope.newest_revision
    )
    replaced = {"basis": scope.basis, "revision": scope.newest_revision}
    session.execute(statement.on_conflict_do_update(index_elements=["tenant_id", "stage"], set_=replaced))


def _newest_revision(session: TenantSession) -> ColumnElement[int]:
    newest = [
        select(func.max(table.c.revision)).where(table.c.tenant_id == session.tenant_id).scalar_subquery()
        for table in _REVISED
    ]
    return func.coalesce(func.greatest(*newest), 0)


def versions_linking(
    session: TenantSession, runs: ColumnElement[bool], logged: ColumnElement[bool]
) -> list[Key] | None:
    """Return the versions that link to runs or logged models with a condition; None if there are too many versions."""
    return _limited(session, _linking(session, runs, logged))


def _changed_since(session: TenantSession, revision: int, newest: int) -> list[Key] | None:
    """Return the versions that depend on a row with a newer revision, sorted; None if there are too many."""
    if revision == newest:
        return []
    versions, models = model_versions, registered_models

    def newer(table: Table) -> ColumnElement[bool]:
        return and_(table.c.tenant_id == session.tenant_id, table.c.revision > revision)

    of_model = select(versions.c.model_name, versions.c.version_number).where(
        newer(models), versions.c.tenant_id == session.tenant_id, versions.c.model_name == models.c.model_name
    )
    inputs = record_inputs.c
    naming_prompts = select(inputs.model_name, inputs.version_number).where(
        newer(prompts),
        inputs.tenant_id == session.tenant_id,
        inputs.prompt_names.is_not(None),
        prompts.c.prompt_name == any_(inputs.prompt_names),
    )
    of_versions = (model_versions, artifact_manifests, canonical_records)
    rows = [select(table.c.model_name, table.c.version_number).where(newer(table)) for table in of_versions]
    linking = _linking(session, newer(training_runs), newer(logged_models))
    return _limited(session, [*rows, of_model, naming_prompts, *linking])


def _linking(session: TenantSession, runs: ColumnElement[bool], logged: ColumnElement[bool]) -> list[Select[Any]]:
    versions, run_rows, logged_rows = model_versions, training_runs, logged_models

    def versions_where(*conditions: ColumnElement[bool]) -> Select[Any]:
        of_tenant = versions.c.tenant_id == session.tenant_id
        return select(versions.c.model_name, versions.c.version_number).where(of_tenant, *conditions)

    is_run = and_(run_rows.c.tenant_id == session.tenant_id, runs)
    is_logged_model = and_(
        logged_rows.c.tenant_id == session.tenant_id, versions.c.logged_model_id == logged_rows.c.model_id
    )
    return [
        versions_where(is_logged_model, logged),
        # The three ways from a version to its run, as in ``tracked_objects.RUN_ID``.
        versions_where(is_run, versions.c.run_id == run_rows.c.run_id),
        versions_where(is_run, versions.c.run_id.is_(None), versions.c.origin_run_id == run_rows.c.run_id),
        versions_where(is_run, logged_rows.c.source_run_id == run_rows.c.run_id, is_logged_model),
    ]


def _limited(session: TenantSession, queries: Sequence[Select[Any]]) -> list[Key] | None:
    rows = session.execute(union_all(*queries).limit(MAX_CHANGED + 1)).all()
    return None if len(rows) > MAX_CHANGED else sorted({(name, number) for name, number in rows})
