"""The columns of the stages' tables as Dagster shows them: type, whether they may be null, and what they hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import dagster as dg

from verifywise_mlflow.persistence.tables import SCHEMA, metadata
from verifywise_mlflow.pipeline.context import Stage

DESCRIPTIONS: Final[Mapping[str, str]] = {
    # Of several tables.
    "tenant_id": "Whose it is: the name in tenants.yaml.",
    "model_name": "The registered model, as MLflow names it.",
    "version_number": "The version's number in MLflow.",
    "description": "The free text that MLflow shows.",
    "tags": "All tags, as written.",
    "aliases": "Aliases, such as champion.",
    "created_at": "MLflow's time of creation, UTC.",
    "last_updated_at": "MLflow's time of the last change; tags and aliases do not move it.",
    "problems": "What in MLflow's answer could not be understood.",
    "redactions": "What was taken out of texts before they were stored.",
    "incarnation": "From 1: how many objects have borne this name and number.",
    "gone_at": "Since when MLflow no longer has it; null while it lives.",
    "fingerprint": "SHA-256 of what was read: the row is written only when it differs.",
    "revision": "Drawn anew at each writing of the row: later stages are due where it is newer.",
    "changed_at": "When the row was last written, UTC.",
    "sync_id": "The sync that wrote the row; the audit trail names it too.",
    "retry": "The last reading failed by something passing: the next sync tries again.",
    "read_for_revision": "The revision of the version that this was read for.",
    "hidden_from_search": "A point read shows it, the listing does not.",
    # Versions.
    "stage": "MLflow's stage: None, Staging, Production, Archived.",
    "source": "Where the version says that its files lie.",
    "run_id": "The training run's id.",
    "logged_model_id": "The logged model of MLflow 3 that the version came from.",
    "status": "MLflow's own status.",
    "status_message": "What MLflow says of its status.",
    "run_link": "A link to a run on another server.",
    "deployment_job_state": "What MLflow says of the deployment job.",
    # Runs.
    "experiment_id": "The experiment's id.",
    "experiment_name": "The experiment's name.",
    "run_name": "The run's name.",
    "user_id": "Who started it, as MLflow shows.",
    "lifecycle_stage": "Of a run: active or deleted. Of a record: its place in the lifecycle, from stage and aliases.",
    "started_at": "UTC.",
    "ended_at": "UTC; null while it goes on.",
    "artifact_uri": "Where the files lie.",
    "metrics": "The last value of each metric.",
    "params": "All parameters.",
    "datasets": "The data sets logged as inputs.",
    "logged_model_ids": "The logged models that the run made.",
    "unreadable": "Why it could not be read; null where it could.",
    # Manifests.
    "location_key": "What tells whether the files are to be listed anew.",
    "location_md5": "An index's key: no protection of anything.",
    "manifest": "Each file with size, SHA-256 and kind; the environment; why something is missing.",
    "read_at": "When the files were last listed, UTC.",
    "hashed_at": "When their bytes were last hashed, UTC.",
    # Records.
    "business_purpose": "What the model is for.",
    "owner": "Who answers for it.",
    "deployment_status": "Whether it is deployed, as its tags say.",
    "source_run_id": "The training run that it came from.",
    "source_artifact_uri": "Where the version's files lie.",
    "training_status": "How the training run ended.",
    "training_started_at": "UTC.",
    "training_ended_at": "UTC.",
    "hyperparameters": "The run's parameters.",
    "evaluation_tags": "Tags that tell of validation and evaluation.",
    "code_commit": "The commit that it was trained from.",
    "training_entrypoint": "The script or notebook.",
    "dataset_reference": "The training data.",
    "risk_category": "Of the EU AI Act: minimal, limited, high, unacceptable.",
    "regulatory_scope": "Which regulations apply, as its tags say.",
    "data_sensitivity": "Whether and which personal data it was trained on.",
    "privacy_assessment_status": "How far the privacy assessment is; null: MLflow shows none.",
    "compliance_approver": "Who approved it.",
    "security_assessment_version": "Which security assessment it had.",
    "runtime_environment": "Python, packages, and whether they are pinned.",
    "artifact_manifest": "The files with their hashes.",
    "evidence_files": "Files that are evidence: model cards, reports, signatures.",
    "origins": "For each value: which tag, alias or attribute it came from, and what stood there.",
    "incomplete": "What could not be read, and why; [] where all could.",
    "findings": "What looks wrong, each with its kind and field.",
    # Verdicts.
    "rule_id": "The rule, as its policy names it.",
    "rule_version": "Which version of the rule.",
    "verdict": "pass, fail, not evidenced, not applicable or error.",
    "reason": "Why, in words.",
    "values": "What the rule saw.",
    "policy_id": "The policy that the rule is of.",
    "policy_version": "Which version of the policy.",
    "evaluated_at": "When it was judged, UTC.",
    "thresholds": "The figures that the rule compared with.",
    "day": "The day that the rule took for today, where it asks for one.",
    "open_since": "Since when the gap has been open without a break, UTC.",
    "input_hash": "SHA-256 of all that the verdict rests on.",
}


def column_schema(stage: Stage) -> dg.TableSchema:
    """Return the columns of the stage's table."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                column.name,
                type=column.type.compile().lower(),
                description=DESCRIPTIONS[column.name],
                constraints=dg.TableColumnConstraints(nullable=bool(column.nullable)),
            )
            for column in metadata.tables[f"{SCHEMA}.{stage.value}"].columns
        ]
    )
