"""Stage 5: the canonical records, from our store alone: MLflow is not asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from verifywise_mlflow import __version__
from verifywise_mlflow.artifacts.integrity import DetectedChange
from verifywise_mlflow.artifacts.manifest_codec import manifest_from_json
from verifywise_mlflow.connector.models import LoggedModel, ModelVersion, RegisteredModel, TrainingRun
from verifywise_mlflow.normalizer.fingerprint import fingerprint
from verifywise_mlflow.normalizer.mapping.tag_mapping import default_mapping
from verifywise_mlflow.normalizer.normalize import NORMALIZER_REVISION, normalize
from verifywise_mlflow.normalizer.record_inputs import RecordInputs
from verifywise_mlflow.persistence.repositories import integrity, records, registry, tracked_objects
from verifywise_mlflow.persistence.repositories.manifests import manifests_by_key
from verifywise_mlflow.persistence.repositories.records import BuiltRecord, DueRecord
from verifywise_mlflow.persistence.repositories.tracked_objects import LOGGED_MODELS, RUNS
from verifywise_mlflow.persistence.row_mapping import BATCH, Key, entity
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.pipeline.config_versioning import record_mapping_version
from verifywise_mlflow.pipeline.context import Progress, StageContext
from verifywise_mlflow.tenants.tenant import Tenant

Row = Mapping[str, object]

_NO_MANIFEST = "the artifacts could not be read yet"


def refresh(context: StageContext) -> Progress:
    """Build the records whose inputs are newer than they are; write those that differ."""
    progress = Progress(is_reconcile=True)
    mapping = default_mapping().extended_by(context.tenant.mapping)
    # A new release may read the same tags in another way, so it builds all records anew.
    digest = fingerprint([mapping.digest(), __version__, NORMALIZER_REVISION])
    record_mapping_version(context, mapping, digest)
    after: Key | None = None
    while True:
        with context.begin() as session:
            due = records.due_records(session, mapping_digest=digest, after=after, limit=BATCH)
            if not due:
                return progress
            built = []
            for item, inputs in zip(due, _inputs(session, context.tenant, due), strict=True):
                normalized = normalize(inputs, mapping)
                built.append(BuiltRecord(item, normalized, fingerprint([normalized, item.version["gone_at"]])))
            changed = records.write_records(session, built, context.sync_id, context.now)
        after = due[-1].key
        progress.read += len(built)
        progress.changed += len(changed)
        progress.incomplete += sum(1 for item in changed if item.normalized.incomplete)
        context.report_progress(progress.read, progress.read)


@dataclass(frozen=True, slots=True)
class _Linked:
    """What the store holds beside a batch of versions."""

    models: Mapping[str, Row]
    runs: Mapping[str, Row]
    logged_models: Mapping[str, Row]
    manifests: Mapping[Key, Row]
    changes: Mapping[Key, Sequence[DetectedChange]]
    are_manifests_on: bool
    numbers: Mapping[str, set[int]]
    """Of the living versions of the models that have aliases."""


def _inputs(session: TenantSession, tenant: Tenant, due: Sequence[DueRecord]) -> list[RecordInputs]:
    run_ids = {item.run_id for item in due if item.run_id}
    model_ids = {item.logged_model_id for item in due if item.logged_model_id}
    models = registry.models_by_name(session, {item.key[0] for item in due})
    linked = _Linked(
        models=models,
        runs=tracked_objects.rows_by_id(session, RUNS, run_ids),
        logged_models=tracked_objects.rows_by_id(session, LOGGED_MODELS, model_ids),
        manifests=manifests_by_key(session, [item.key for item in due]),
        are_manifests_on=tenant.artifacts.manifests,
        changes=integrity.changes_by_key(session, [item.key for item in due]),
        numbers=registry.living_numbers(session, {name for name, row in models.items() if row["aliases"]}),
    )
    return [_record_inputs(item, linked) for item in due]


def _record_inputs(due: DueRecord, linked: _Linked) -> RecordInputs:
    name = due.key[0]
    row = linked.models.get(name)
    model = entity(RegisteredModel, row, name=name) if row else None
    if model and _is_older(due, model):
        model = None  # the name is another model's now, whose tags and aliases say nothing about this version
    run = linked.runs.get(due.run_id or "")
    # Only models:/m-… is MLflow's own word for where a version came from. A path that lies in a logged model's
    # folder tells where the files are, and nothing more.
    is_linked = str(due.version["source"]).startswith("models:/m-")
    logged_model = linked.logged_models.get(due.logged_model_id or "") if is_linked else None
    manifest = linked.manifests.get(due.key)
    stored = manifest["manifest"] if manifest else None
    is_manifest_missing = stored is None and linked.are_manifests_on and due.version["gone_at"] is None
    incarnation = due.version["incarnation"]
    assert isinstance(incarnation, int)  # the column's type
    return RecordInputs(
        version=entity(ModelVersion, due.version),
        model=model,
        run=entity(TrainingRun, run) if run and _was_ever_read(run) else None,
        run_read_error=_text(run, "unreadable"),
        experiment_name=_text(run, "experiment_name"),
        logged_model=entity(LoggedModel, logged_model) if logged_model and _was_ever_read(logged_model) else None,
        logged_model_read_error=_text(logged_model, "unreadable"),
        incarnation=incarnation,
        dangling_aliases=_dangling(model, linked.numbers.get(name, set())) if model else (),
        changes_in_place=tuple(linked.changes.get(due.key, ())),
        manifest_read_error=_NO_MANIFEST if is_manifest_missing else None,
        manifest=manifest_from_json(stored) if isinstance(stored, Mapping) else None,
    )


def _is_older(due: DueRecord, model: RegisteredModel) -> bool:
    """Whether the version is gone, and was there before the model: it belonged to another one of its name."""
    gone_at = due.version["gone_at"]
    created_at = due.version["created_at"]
    return (
        isinstance(gone_at, datetime)
        and isinstance(created_at, datetime)
        and model.created_at is not None
        and created_at < model.created_at
    )


def _dangling(model: RegisteredModel, numbers: set[int]) -> tuple[str, ...]:
    return tuple(sorted(alias for alias, number in model.aliases.items() if number not in numbers))


def _was_ever_read(row: Row) -> bool:
    """Whether the row holds more than an id: an object that was read once stays known when it cannot be read again."""
    return row["unreadable"] is None or row["experiment_id"] is not None


def _text(row: Row | None, column: str) -> str | None:
    value = row[column] if row else None
    return value if isinstance(value, str) else None
