"""Stage 5: the canonical records. They are built from our store alone: MLflow is not read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import cast

from verifywise_mlflow import __version__
from verifywise_mlflow.artifacts.integrity import DetectedChange
from verifywise_mlflow.artifacts.manifest_codec import manifest_from_json
from verifywise_mlflow.common.json_value import Json
from verifywise_mlflow.connector.models import LoggedModel, ModelVersion, RegisteredModel, TrainingRun
from verifywise_mlflow.normalizer.fingerprint import fingerprint
from verifywise_mlflow.normalizer.mapping.tag_mapping import default_mapping
from verifywise_mlflow.normalizer.normalize import NORMALIZER_REVISION, normalize
from verifywise_mlflow.normalizer.record_inputs import LoggedModelLink, RecordInputs
from verifywise_mlflow.persistence.json_texts import JSON_AS_TEXT, parsed_row
from verifywise_mlflow.persistence.pg_text_codec import escape, unescape
from verifywise_mlflow.persistence.repositories import (
    dangling_aliases,
    delivery_outbox,
    prompts,
    records,
    registry,
    renamed_versions,
    tracked_objects,
    withdrawals,
)
from verifywise_mlflow.persistence.repositories.manifests import manifest_rows
from verifywise_mlflow.persistence.repositories.records import BuiltRecord, PendingRecord
from verifywise_mlflow.persistence.repositories.tracked_objects import LOGGED_MODELS, RUNS
from verifywise_mlflow.persistence.row_mapping import Key, to_entity
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.state_contents import RECORD_COLUMNS
from verifywise_mlflow.persistence.table_statistics import analyze_grown_tables
from verifywise_mlflow.persistence.tables import (
    artifact_manifests,
    canonical_records,
    logged_models,
    model_versions,
    record_inputs,
    training_runs,
)
from verifywise_mlflow.pipeline.context import Progress, StageContext
from verifywise_mlflow.pipeline.overlapped_batches import overlapped_batches
from verifywise_mlflow.pipeline.pending_scope import advance_watermark, stage_scope
from verifywise_mlflow.pipeline.stage_configurations import record_mapping_version
from verifywise_mlflow.tenants.tenant import Tenant

Row = Mapping[str, object]

RECORDS_PER_BATCH = 500
"""The number of records that one transaction writes. Large rows reduce the number (``persistence/byte_limit.py``)."""
_NO_MANIFEST = "the artifacts were not read yet"


def refresh(context: StageContext) -> Progress:
    """Build the records whose inputs have changed since they were built; write the records that differ."""
    progress = Progress(is_reconcile=context.is_reconcile_due)
    mapping = default_mapping().extended_by(context.tenant.mapping)
    # A new release may interpret the same tags differently, so it rebuilds all living records.
    digest = fingerprint([mapping.digest(), __version__, NORMALIZER_REVISION])
    record_mapping_version(context, mapping, digest)
    with context.begin() as session:
        scope = stage_scope(context, session, digest)
        registry_prompts = None if scope.is_empty else prompts.prompt_index(session)
    processed: list[Key] = []

    def pending(session: TenantSession, after: Key | None, among: Sequence[Key] | None) -> list[PendingRecord]:
        return records.pending_records(
            session,
            mapping_digest=digest,
            after=after,
            limit=RECORDS_PER_BATCH,
            among=among,
            with_other_prompts=records.with_other_prompts(session) if registry_prompts else (),
        )

    def read(session: TenantSession, after: _DueRecord | None) -> Sequence[_DueRecord]:
        due = pending(session, after.pending.key if after else None, scope.keys)
        if not due:
            return []
        linked = _linked_rows(session, context.tenant, due)
        return [_DueRecord(item, linked) for item in due]

    def build(due: Sequence[_DueRecord]) -> list[BuiltRecord]:
        return [
            BuiltRecord.of(item.pending, normalize(item.inputs(), mapping, registry_prompts), registry_prompts)
            for item in due
        ]

    for batch in overlapped_batches(
        context.begin, read=read, compute=build, write=partial(_write, context), full_batch=RECORDS_PER_BATCH
    ):
        progress.read += len(batch.keys)
        processed += batch.keys
        progress.changed += batch.withdrawn_count + len(batch.changed)
        progress.incomplete += sum(1 for record in batch.changed if record.is_incomplete)
        context.report_progress(progress.read, progress.read)
    # A change that the history's quota holds back stays pending.
    advance_watermark(context, scope, processed, lambda session, keys: pending(session, None, keys))
    return progress


def rebuilt_contents(tenant: Tenant, session: TenantSession, keys: Sequence[Key]) -> dict[Key, dict[str, str | None]]:
    """Return the contents that the records of living versions would have if they were built now. Nothing is written.

    Args:
        tenant: The tenant, for its mapping.
        session: Its transaction.
        keys: The versions, with their names in the stored form.
    """
    mapping = default_mapping().extended_by(tenant.mapping)
    among = [(unescape(name), number) for name, number in keys]
    due = records.pending_records(session, mapping_digest="", after=None, limit=len(among), among=among)
    linked = _linked_rows(session, tenant, due)
    registry_prompts = prompts.prompt_index(session)
    built = (
        BuiltRecord.of(item, normalize(_DueRecord(item, linked).inputs(), mapping, registry_prompts), registry_prompts)
        for item in due
    )
    return {
        (escape(record.key[0]), record.key[1]): dict(zip(RECORD_COLUMNS, record.cells, strict=True)) for record in built
    }


@dataclass(frozen=True, slots=True)
class _DueRecord:
    """A record that is to be built."""

    pending: PendingRecord
    linked: _LinkedRows
    """The rows for all records of the batch. The process that computes receives rows, which are much cheaper to send
    than the objects made from them."""

    def inputs(self) -> RecordInputs:
        """Return the inputs from which the record is built."""
        return _record_inputs(self.pending, self.linked)


@dataclass(frozen=True, slots=True)
class _WrittenBatch:
    """The result of a batch of versions."""

    keys: Sequence[Key]
    changed: Sequence[BuiltRecord]
    """The records that were written."""
    withdrawn_count: int


def _write(context: StageContext, session: TenantSession, built: Sequence[BuiltRecord]) -> _WrittenBatch:
    withdrawn = _withdraw(context, session, built)
    remaining = [record for record in built if record.key not in withdrawn]
    keys = [record.key for record in remaining]
    withdrawals.end_predecessor_verdicts(session, keys, context.sync_id, context.now)
    changed = records.write_records(
        session, remaining, context.sync_id, context.now, admit=context.history.admit_records
    )
    analyze_grown_tables(session, [canonical_records, record_inputs])
    context.history.record(session, context.now)
    return _WrittenBatch([record.key for record in built], changed, len(withdrawn))


def _withdraw(context: StageContext, session: TenantSession, built: Sequence[BuiltRecord]) -> set[Key]:
    """Withdraw the records of deleted versions; return their keys, without the versions that had no record."""
    deleted = [record for record in built if record.deleted_at is not None]
    withdrawn = withdrawals.withdraw_records(session, [record.key for record in deleted], context.sync_id, context.now)
    records.write_input_revisions(session, [record for record in deleted if record.key in withdrawn])
    # Withdrawn records are not evaluated again, so no evaluation makes them pending.
    targets = context.tenant.delivery.state_targets()
    delivery_outbox.enqueue(session, targets, withdrawn, cause="withdrawal", sync_id=context.sync_id, now=context.now)
    return withdrawn


@dataclass(frozen=True, slots=True)
class _LinkedRows:
    """The stored rows that a batch of versions links to. JSON of runs, logged models and manifests is text."""

    models: Mapping[str, Row]
    runs: Mapping[str, Row]
    logged_models: Mapping[str, Row]
    manifests: Mapping[Key, Row]
    changes_in_place: Mapping[Key, Sequence[DetectedChange]]
    are_manifests_on: bool
    other_names: Mapping[Key, tuple[str, ...]]
    missing_numbers: Mapping[str, set[int]]
    """Numbers to which aliases of living models point, although MLflow has no such version."""


def _linked_rows(session: TenantSession, tenant: Tenant, due: Sequence[PendingRecord]) -> _LinkedRows:
    run_ids = {item.run_id for item in due if item.run_id}
    model_ids = {item.logged_model_id for item in due if item.logged_model_id}
    models = registry.models_by_name(session, {item.key[0] for item in due})
    return _LinkedRows(
        models=models,
        runs=tracked_objects.rows_by_id(session, RUNS, run_ids, JSON_AS_TEXT),
        logged_models=tracked_objects.rows_by_id(session, LOGGED_MODELS, model_ids, JSON_AS_TEXT),
        manifests=manifest_rows(session, [item.key for item in due]),
        are_manifests_on=tenant.artifacts.manifests,
        changes_in_place=renamed_versions.changes_in_place(session, [item.key for item in due]),
        other_names=renamed_versions.other_names(
            session, [item.key for item in due if item.version["logged_model_location"] is not None]
        ),
        missing_numbers=dangling_aliases.missing_numbers(session, models),
    )


def _record_inputs(due: PendingRecord, linked: _LinkedRows) -> RecordInputs:
    name, version = due.key[0], parsed_row(model_versions, due.version)
    row = linked.models.get(name)
    model = to_entity(RegisteredModel, row, name=name) if row else None
    if model and _predates_model(due, model):
        model = None  # another model has the name now: its tags and aliases do not apply to this version
    run = linked.runs.get(due.run_id or "")
    named_model = linked.logged_models.get(due.logged_model_id or "")
    link = _logged_model_link(due, named_model)
    logged_model = parsed_row(logged_models, named_model) if named_model and link in ("id", "location") else None
    manifest = linked.manifests.get(due.key)
    stored = parsed_row(artifact_manifests, manifest)["manifest"] if manifest else None
    is_manifest_missing = stored is None and linked.are_manifests_on and version["deleted_at"] is None
    incarnation = version["incarnation"]
    assert isinstance(incarnation, int)  # the column's type
    return RecordInputs(
        version=to_entity(ModelVersion, version),
        model=model,
        run=to_entity(TrainingRun, parsed_row(training_runs, run)) if run and _was_ever_read(run) else None,
        run_read_error=_optional_text(run, "read_error"),
        experiment_name=_experiment_name(run, logged_model),
        origin=registry.to_origin(version),
        logged_model_link=link,
        logged_model=to_entity(LoggedModel, logged_model) if logged_model and _was_ever_read(logged_model) else None,
        logged_model_read_error=_logged_model_read_error(named_model, link),
        generative_evaluation=_evaluation(logged_model),
        evaluation_read_error=_optional_text(logged_model, "evaluation_error"),
        other_names=linked.other_names.get(due.key, ()),
        incarnation=incarnation,
        dangling_aliases=_dangling_aliases(model, linked.missing_numbers.get(name, set())) if model else (),
        changes_in_place=tuple(linked.changes_in_place.get(due.key, ())),
        manifest_read_error=_NO_MANIFEST if is_manifest_missing else None,
        manifest=manifest_from_json(stored) if isinstance(stored, Mapping) else None,
    )


def _logged_model_link(due: PendingRecord, row: Row | None) -> LoggedModelLink | None:
    """Return how the version's source names the logged model; None for a path other than the model's exact location."""
    location = due.version["logged_model_location"]
    if due.logged_model_id is None or location is None:
        return "id" if due.logged_model_id else None
    if row is None or row["location_key"] != location:
        return None
    return "ambiguous" if row["shares_location"] else "location"


def _logged_model_read_error(row: Row | None, link: LoggedModelLink | None) -> str | None:
    """Return why a logged model could not be read.

    A path does not prove that this server has the logged model. So a logged model that no link names counts as missing
    only while a later sync may still find it.
    """
    is_missed = row is not None and (link is not None or row["retry"] or row["deferred"])
    return _optional_text(row, "read_error") if is_missed else None


def _evaluation(logged_model: Row | None) -> Mapping[str, Json] | None:
    stored = logged_model["generative_evaluation"] if logged_model else None
    return cast("Mapping[str, Json]", stored) if isinstance(stored, Mapping) else None


def _experiment_name(run: Row | None, logged_model: Row | None) -> str | None:
    """Return the name of the run's experiment, or else of the logged model's experiment."""
    named = next((row for row in (run, logged_model) if row and row["experiment_id"] is not None), None)
    return _optional_text(named, "experiment_name")


def _predates_model(due: PendingRecord, model: RegisteredModel) -> bool:
    """Return whether a deleted version is older than the model: it belonged to another model of the same name."""
    deleted_at = due.version["deleted_at"]
    created_at = due.version["created_at"]
    return (
        isinstance(deleted_at, datetime)
        and isinstance(created_at, datetime)
        and model.created_at is not None
        and created_at < model.created_at
    )


def _dangling_aliases(model: RegisteredModel, missing_numbers: set[int]) -> tuple[str, ...]:
    return tuple(sorted(alias for alias, number in model.aliases.items() if number in missing_numbers))


def _was_ever_read(row: Row) -> bool:
    """Return whether the row has more than an ID: values that were read once are kept when a later read fails."""
    return row["read_error"] is None or row["experiment_id"] is not None


def _optional_text(row: Row | None, column: str) -> str | None:
    value = row[column] if row else None
    return value if isinstance(value, str) else None
