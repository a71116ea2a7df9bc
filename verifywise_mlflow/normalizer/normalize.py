"""Builds the canonical record of one model version from its MLflow objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import chain
from typing import Final

from verifywise_mlflow.normalizer.candidates import Candidates
from verifywise_mlflow.normalizer.dataset_reference import dataset_reference, measured_datasets
from verifywise_mlflow.normalizer.evaluation_tags import evaluation_tag_findings, evaluation_tags
from verifywise_mlflow.normalizer.findings import fold_findings
from verifywise_mlflow.normalizer.generative_evaluation import evaluation_json
from verifywise_mlflow.normalizer.lifecycle_stage import explain_precedence, version_aliases
from verifywise_mlflow.normalizer.manifest_json import environment_json, evidence_json, manifest_json
from verifywise_mlflow.normalizer.mapping.mapping_index import mapping_index
from verifywise_mlflow.normalizer.mapping.precedence import UNDECLARED, resolve
from verifywise_mlflow.normalizer.mapping.tag_mapping import TagMapping
from verifywise_mlflow.normalizer.normalized_record import NormalizedRecord
from verifywise_mlflow.normalizer.origin import Origin
from verifywise_mlflow.normalizer.origin_links import OriginLinks
from verifywise_mlflow.normalizer.prompt_links import (
    PromptIndex,
    PromptLink,
    link_findings,
    linked_prompts_json,
    possible_names,
    prompt_links,
)
from verifywise_mlflow.normalizer.prompt_reference import kind_by_prompts, prompt_findings
from verifywise_mlflow.normalizer.record import FIELDS, PRECEDENCE_FIELDS, CanonicalRecord
from verifywise_mlflow.normalizer.record_inputs import RecordInputs
from verifywise_mlflow.normalizer.record_quality import incomplete_reasons, quality_findings
from verifywise_mlflow.normalizer.same_person import PEOPLE_FIELDS, same_person_fields
from verifywise_mlflow.normalizer.unread_fields import unread_objects
from verifywise_mlflow.normalizer.use_findings import use_findings

__all__ = ["NORMALIZER_REVISION", "RecordInputs", "normalize"]

NORMALIZER_REVISION: Final = 12
"""Increase it whenever the same inputs and mapping produce a different record: all living records are then rebuilt."""

_EVALUATION_RULE = "the tags of the version and of its run; if both have a key, the version's tag counts"


def normalize(
    inputs: RecordInputs, mapping: TagMapping, registry_prompts: PromptIndex | None = None
) -> NormalizedRecord:
    """Return the canonical record of one version, with its provenance, its read gaps and its findings.

    Args:
        inputs: what was read of the version and of the objects that belong to it.
        mapping: the whole mapping: usually ``default_mapping().extended_by(tenant.mapping)``, built once per sync.
        registry_prompts: all prompts of the registry; None if they were not read.

    It never raises. Each text of a tag becomes a value, becomes a finding, or is ignored.
    """
    index = mapping_index(mapping)
    aliases = version_aliases(inputs)
    candidates = Candidates(inputs, aliases, index)
    candidates_by_field = {field: candidates.for_field(field) for field in PRECEDENCE_FIELDS}
    resolutions = {
        field: resolve(field, of_field) if of_field else UNDECLARED for field, of_field in candidates_by_field.items()
    }
    resolutions["model_kind"] = kind_by_prompts(resolutions["model_kind"], resolutions["prompt_reference"])
    evaluation = evaluation_tags(inputs.version.tags, inputs.run.tags if inputs.run else {}, index)
    links = OriginLinks.of(inputs)
    texts = {field: resolution.value for field, resolution in resolutions.items()}
    prompts = prompt_links(texts["prompt_reference"], registry_prompts)
    other_prompts = [found.value for found in candidates_by_field["prompt_reference"] if found.origin.state is None]
    record = _record(inputs, aliases, texts, evaluation, prompts)
    origins = {field: resolution.origin for field, resolution in resolutions.items() if resolution.origin}
    origins |= _origins_of_copied_values(inputs)
    if prompts:
        origins["linked_prompts"] = origins["prompt_reference"]
    if "lifecycle_stage" in origins:
        stages = [candidate for candidate in candidates_by_field["lifecycle_stage"] if candidate.is_known]
        rule = explain_precedence(index.value_sources("lifecycle_stage"), stages)
        origins["lifecycle_stage"] = replace(origins["lifecycle_stage"], rule=rule)
    people = {field: text for field in PEOPLE_FIELDS if (text := resolutions[field].value) is not None}
    for field, same in same_person_fields(people).items():
        origins[field] = replace(origins[field], same_person_as=same.certain, may_be_same_person_as=same.unclear)
    member_origins = {f"evaluation_tags.{key}": origin for key, origin in evaluation.items()}
    if links.has_any:
        origins, member_origins = (
            {field: links.add_to(origin) for field, origin in of_fields.items()}
            for of_fields in (origins, member_origins)
        )
    return NormalizedRecord(
        record=record,
        origins=_shown(record, origins) | member_origins,
        incomplete=unread_objects(incomplete_reasons(inputs), record, origins, index),
        findings=fold_findings(
            chain.from_iterable(
                (
                    *(resolution.findings for resolution in resolutions.values()),
                    use_findings(aliases, index, resolutions["lifecycle_stage"], resolutions["deployment_status"]),
                    evaluation_tag_findings(evaluation),
                    prompt_findings(texts["prompt_reference"], other_prompts),
                    link_findings(prompts),
                    quality_findings(inputs),
                )
            )
        ),
        prompt_names=possible_names(texts["prompt_reference"]),
    )


def _shown(record: CanonicalRecord, origins: Mapping[str, Origin]) -> dict[str, Origin]:
    """Return the origins of the values and of the texts that are not values."""
    return {
        field: origins[field]
        for field in FIELDS
        if getattr(record, field) is not None or (field in origins and origins[field].state)
    }


def _record(
    inputs: RecordInputs,
    aliases: Sequence[str],
    texts: Mapping[str, str | None],
    evaluation: Mapping[str, Origin],
    prompts: Sequence[PromptLink],
) -> CanonicalRecord:
    """Build the record from the resolved texts and from the values that are copied from MLflow's objects."""
    version, run, manifest = inputs.version, inputs.run, inputs.manifest
    return CanonicalRecord(
        model_name=version.model_name,
        version_number=version.version_number,
        aliases=aliases if inputs.model else None,
        created_at=version.created_at,
        last_updated_at=version.last_updated_at,
        training_started_at=run.started_at if run else None,
        training_ended_at=run.ended_at if run else None,
        metrics=dict(run.metrics) if run else None,
        hyperparameters=dict(run.params) if run else None,
        evaluation_tags={key: origin.raw or "" for key, origin in evaluation.items() if origin.state is None},
        dataset_reference=dataset_reference(
            (*(run.datasets if run else ()), *measured_datasets(inputs)), texts["dataset_reference"]
        ),
        generative_evaluation=evaluation_json(inputs, texts["model_kind"]),
        linked_prompts=linked_prompts_json(prompts),
        runtime_environment=environment_json(manifest.environment) if manifest and manifest.environment else None,
        artifact_manifest=manifest_json(manifest, inputs.changes_in_place) if manifest else None,
        evidence_files=evidence_json(manifest) if manifest else None,
        **{field: text for field, text in texts.items() if field != "dataset_reference"},
    )


def _origins_of_copied_values(inputs: RecordInputs) -> dict[str, Origin]:
    """Return the origins of the copied values, by the names of MLflow's REST API."""
    version, run = inputs.version, inputs.run
    origins = {
        "model_name": Origin("version", "name", version.model_name),
        "version_number": Origin("version", "version", str(version.version_number)),
        "created_at": Origin("version", "creation_timestamp", _milliseconds(version.created_at)),
        "last_updated_at": Origin("version", "last_updated_timestamp", _milliseconds(version.last_updated_at)),
        "evaluation_tags": Origin("version", "tags", None, rule=_EVALUATION_RULE if run else None),
    }
    if inputs.model:
        origins["aliases"] = Origin("model", "aliases", None)
    if run:
        origins |= {
            "training_started_at": Origin("run", "start_time", _milliseconds(run.started_at)),
            "training_ended_at": Origin("run", "end_time", _milliseconds(run.ended_at)),
            "metrics": Origin("run", "metrics", None),
            "hyperparameters": Origin("run", "params", None),
        }
        if run.datasets:
            origins["dataset_reference"] = Origin("run", "dataset_inputs", None)
    if inputs.logged_model:
        origins["generative_evaluation"] = Origin("logged model", "traces", None)
    if "dataset_reference" not in origins and measured_datasets(inputs):
        origins["dataset_reference"] = Origin("logged model", "metrics", None)
    if inputs.manifest:
        location = inputs.manifest.location or version.source or "no location is known"
        origins |= {
            "artifact_manifest": Origin("artifact", location, None),
            "evidence_files": Origin("artifact", location, None),
        }
        if inputs.manifest.environment:
            files = ", ".join(inputs.manifest.environment.sources)
            origins["runtime_environment"] = Origin("artifact", files or location, None)
    return origins


def _milliseconds(time: datetime | None) -> str | None:
    """Return a time as MLflow's REST API writes it."""
    return None if time is None else str(round(time.timestamp() * 1000))
