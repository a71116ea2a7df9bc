"""From what MLflow says about one model version to its canonical record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from verifywise_mlflow.normalizer.dataset_reference import dataset_reference
from verifywise_mlflow.normalizer.evaluation_tags import evaluation_tags
from verifywise_mlflow.normalizer.lifecycle_stage import shown_rule
from verifywise_mlflow.normalizer.manifest_json import environment_json, evidence_json, manifest_json
from verifywise_mlflow.normalizer.mapping.candidates import Declarations
from verifywise_mlflow.normalizer.mapping.mapping_index import vocabulary
from verifywise_mlflow.normalizer.mapping.precedence import resolve
from verifywise_mlflow.normalizer.mapping.tag_mapping import TagMapping
from verifywise_mlflow.normalizer.mapping.value_sources import PLACED_FIELDS
from verifywise_mlflow.normalizer.record import FIELDS, CanonicalRecord, NormalizedRecord, Origin
from verifywise_mlflow.normalizer.record_inputs import RecordInputs
from verifywise_mlflow.normalizer.record_quality import oddities, unread

__all__ = ["REVISION", "RecordInputs", "normalize"]

REVISION: Final = 2
"""Goes up whenever the same inputs and mapping make another record: all records are then built anew."""

_EVALUATION_RULE = "the tags of the version and of its run; of two with one key, the version's counts"


def normalize(inputs: RecordInputs, mapping: TagMapping) -> NormalizedRecord:
    """Return the canonical record of one version, with its origins, gaps in reading and findings.

    Args:
        inputs: what was read of the version and of what belongs to it.
        mapping: the whole mapping: usually ``default_mapping().extended_by(tenant.mapping)``, built once per sync.

    It never raises: whatever stands in a tag is a value, a finding, or nothing.
    """
    words = vocabulary(mapping)
    declarations = Declarations(inputs, words)
    declared = {field: declarations.of(field) for field in PLACED_FIELDS}
    resolved = {field: resolve(field, of_field) for field, of_field in declared.items()}
    evaluation = evaluation_tags(inputs.version.tags, inputs.run.tags if inputs.run else {}, words)
    record = _record(inputs, {field: resolution.value for field, resolution in resolved.items()}, evaluation)
    origins = {field: resolution.origin for field, resolution in resolved.items() if resolution.origin}
    origins |= _origins_of_whole_values(inputs)
    if "lifecycle_stage" in origins:
        stages = [declaration for declaration in declared["lifecycle_stage"] if declaration.is_known]
        rule = shown_rule(words.places("lifecycle_stage"), stages)
        origins["lifecycle_stage"] = replace(origins["lifecycle_stage"], rule=rule)
    members = {f"evaluation_tags.{key}": origin for key, origin in evaluation.items()}
    return NormalizedRecord(
        record=record,
        origins={field: origins[field] for field in FIELDS if getattr(record, field) is not None} | members,
        incomplete=tuple(unread(inputs)),
        findings=(*(finding for resolution in resolved.values() for finding in resolution.findings), *oddities(inputs)),
    )


def _record(inputs: RecordInputs, text: Mapping[str, str | None], evaluation: Mapping[str, Origin]) -> CanonicalRecord:
    """Put the record together, of the fields that mappings find and of what is copied as it is."""
    version, run, manifest = inputs.version, inputs.run, inputs.manifest
    return CanonicalRecord(
        model_name=version.model_name,
        description=text["description"],
        business_purpose=text["business_purpose"],
        owner=text["owner"],
        version_number=version.version_number,
        lifecycle_stage=text["lifecycle_stage"],
        created_at=version.created_at,
        last_updated_at=version.last_updated_at,
        deployment_status=text["deployment_status"],
        source_run_id=text["source_run_id"],
        source_artifact_uri=text["source_artifact_uri"],
        training_status=text["training_status"],
        training_started_at=run.started_at if run else None,
        training_ended_at=run.ended_at if run else None,
        metrics=dict(run.metrics) if run else None,
        hyperparameters=dict(run.params) if run else None,
        evaluation_tags={key: origin.raw or "" for key, origin in evaluation.items()},
        experiment_id=text["experiment_id"],
        experiment_name=text["experiment_name"],
        code_commit=text["code_commit"],
        training_entrypoint=text["training_entrypoint"],
        dataset_reference=dataset_reference(run.datasets if run else (), text["dataset_reference"]),
        artifact_uri=text["artifact_uri"],
        risk_category=text["risk_category"],
        regulatory_scope=text["regulatory_scope"],
        data_sensitivity=text["data_sensitivity"],
        privacy_assessment_status=text["privacy_assessment_status"],
        compliance_approver=text["compliance_approver"],
        security_assessment_version=text["security_assessment_version"],
        runtime_environment=environment_json(manifest.environment) if manifest and manifest.environment else None,
        artifact_manifest=manifest_json(manifest, inputs.changes_in_place) if manifest else None,
        evidence_files=evidence_json(manifest) if manifest else None,
    )


def _origins_of_whole_values(inputs: RecordInputs) -> dict[str, Origin]:
    """Return the origins of what is copied as it is, in the words of MLflow's REST API."""
    version, run = inputs.version, inputs.run
    origins = {
        "model_name": Origin("version", "name", version.model_name),
        "version_number": Origin("version", "version", str(version.version_number)),
        "created_at": Origin("version", "creation_timestamp", _milliseconds(version.created_at)),
        "last_updated_at": Origin("version", "last_updated_timestamp", _milliseconds(version.last_updated_at)),
        "evaluation_tags": Origin("version", "tags", None, rule=_EVALUATION_RULE if run else None),
    }
    if run:
        origins |= {
            "training_started_at": Origin("run", "start_time", _milliseconds(run.started_at)),
            "training_ended_at": Origin("run", "end_time", _milliseconds(run.ended_at)),
            "metrics": Origin("run", "metrics", None),
            "hyperparameters": Origin("run", "params", None),
        }
        if run.datasets:
            origins["dataset_reference"] = Origin("run", "dataset_inputs", None)
    if inputs.manifest:
        location = inputs.manifest.location or version.source or "no location is known"
        origins |= {
            "artifact_manifest": Origin("artifact", location, None),
            "evidence_files": Origin("artifact", location, None),
        }
        if inputs.manifest.environment:
            sources = ", ".join(inputs.manifest.environment.sources)
            origins["runtime_environment"] = Origin("artifact", sources or location, None)
    return origins


def _milliseconds(time: datetime | None) -> str | None:
    """Return a time as MLflow's REST API writes it."""
    return None if time is None else str(round(time.timestamp() * 1000))
