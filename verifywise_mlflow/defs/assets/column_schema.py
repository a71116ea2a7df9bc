"""The columns of the stages' tables as Dagster shows them: type, nullability and description."""

from __future__ import annotations

from typing import Final

import dagster as dg

from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.normalizer.record import FIELD_SPECS
from verifywise_mlflow.persistence.tables import SCHEMA, metadata

DESCRIPTIONS: Final[dict[str, str]] = {
    # In several tables.
    "tenant_id": "The tenant's name in tenants.yaml.",
    "model_name": "The name of the registered model in MLflow.",
    "version_number": "The version's number in MLflow.",
    "description": "The description in MLflow.",
    "tags": "All tags, unchanged.",
    "aliases": "Aliases, such as champion.",
    "created_at": "Creation time in MLflow, UTC.",
    "last_updated_at": "Time of the last change in MLflow, UTC. Changes of tags and aliases do not update it.",
    "problems": "Parts of MLflow's response that could not be parsed.",
    "redactions": "What was redacted before the row was stored.",
    "incarnation": "Counts from 1 the objects that have had this name and number.",
    "deleted_at": "Tombstone: since when MLflow no longer has the object, UTC; null while it exists.",
    "fingerprint": "SHA-256 of the content. The row is written only when it changes.",
    "revision": "A number from a sequence, new with each write. Later stages process rows with a higher revision.",
    "changed_at": "When the row was last written, UTC.",
    "sync_id": "The sync that wrote the row, as in the audit trail.",
    "retry": "Whether the last read failed with a transient error; the next sync tries again.",
    "deferred": "Whether the object is not requested by itself yet, because too many objects are missing.",
    "read_for_revision": "The revision of the version for which this was read.",
    "hidden_from_search": "Whether the listing omits the object although reading it by name returns it.",
    # model_versions
    "stage": "Stage in MLflow: None, Staging, Production or Archived.",
    "source": "The location of the version's files, as registered.",
    "run_id": "The ID of the training run.",
    "logged_model_id": "The ID of the MLflow 3 logged model that the version was created from.",
    "status": "Status in MLflow.",
    "status_message": "Status message in MLflow.",
    "run_link": "A link to a run on another server.",
    "deployment_job_state": "State of the deployment job in MLflow.",
    # training_runs
    "experiment_id": "The ID of the experiment.",
    "experiment_name": "The name of the experiment.",
    "run_name": "The name of the run.",
    "user_id": "The user who started the run, as MLflow shows it.",
    "lifecycle_stage": "Lifecycle stage of the run in MLflow: active or deleted.",
    "started_at": "Start time, UTC.",
    "ended_at": "End time, UTC; null while the run is active.",
    "artifact_uri": "The location of the run's files.",
    "metrics": "The last value of each metric.",
    "params": "All parameters.",
    "datasets": "The data sets that were logged as inputs.",
    "logged_model_ids": "The IDs of the logged models that the run created.",
    "read_error": "Why the object could not be read; null if it could.",
    # artifact_manifests
    "location_key": "Identifies the location of the files. They are listed again when it changes.",
    "location_md5": "MD5 of the location, for an index only; it protects nothing.",
    "manifest": "Each file with size, SHA-256 and kind; the environment; the reason for anything that is missing.",
    "read_at": "When the files were last listed, UTC.",
    "hashed_at": "When the files were last hashed, UTC.",
    # canonical_records
    "origins": "Provenance: for each value, the tag, alias or attribute that it came from, with its original text.",
    "incomplete": "What could not be read, and why; [] if everything could.",
    "findings": "Values that look wrong, each with its kind and field.",
    # compliance_results
    "rule_id": "The rule's ID in its policy.",
    "rule_version": "The version of the rule.",
    "verdict": "pass, fail, not evidenced, not applicable or error.",
    "reason": "The reason for the verdict.",
    "values": "The values that the rule read.",
    "policy_id": "The policy that contains the rule.",
    "policy_version": "The version of the policy.",
    "evaluated_at": "When the rule was evaluated, UTC.",
    "thresholds": "The thresholds that the rule used.",
    "day": "The date that the rule used as today, if it depends on the date.",
    "open_since": "Since when the gap has been open without interruption, UTC.",
    "input_hash": "SHA-256 of all inputs of the verdict.",
}

_FIELD_DESCRIPTIONS: Final = {name: spec.description for name, spec in FIELD_SPECS.items()}


def column_schema(stage: Stage) -> dg.TableSchema:
    """Return the columns of the stage's table."""
    descriptions = DESCRIPTIONS | _FIELD_DESCRIPTIONS if stage is Stage.CANONICAL_RECORDS else DESCRIPTIONS
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                column.name,
                type=column.type.compile().lower(),
                description=descriptions[column.name],
                constraints=dg.TableColumnConstraints(nullable=bool(column.nullable)),
            )
            for column in metadata.tables[f"{SCHEMA}.{stage.value}"].columns
        ]
    )
