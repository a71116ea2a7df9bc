"""The canonical record: what governance needs to know about one version of one model. It is defined only here.

The SQL columns, the CEL variables, Dagster's column schema, the groups that ``show`` prints and the fields that a tag
mapping may fill are all derived from the annotations of ``CanonicalRecord``.

To add a field, declare it here. If tags fill the field, give it synonyms and a precedence in ``mapping/mapping.yaml``.
Otherwise, fill it in ``normalize.py``. The migration adds the column to canonical_records and canonical_record_history.
The column must be the last in both tables, because the trigger copies ``OLD.*`` by position. The migration also
recreates the view canonical_record_states.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Final, get_type_hints

from verifywise_mlflow.common.json_value import Json
from verifywise_mlflow.common.value_object import value_object
from verifywise_mlflow.normalizer.field_spec import (
    FieldGroup,
    FieldSpec,
    FieldType,
    FilledFrom,
    assessment_field,
    attestation_field,
    attribute_field,
    tag_field,
)


@value_object
class CanonicalRecord:
    """One record per (model name, version number).

    A field is null if MLflow shows no value. This is a gap, not an error. Times are UTC. The fields' names are also the
    columns of the table ``canonical_records``.
    """

    model_name: Annotated[str, FieldSpec(FieldGroup.IDENTITY, "The registered model, as MLflow names it.", is_key=True)]
    description: Annotated[
        str | None,
        attribute_field(
            FieldGroup.IDENTITY, "The free-text description of the version, else of its model.", may_lack_value=True
        ),
    ]
    business_purpose: Annotated[
        str | None, tag_field(FieldGroup.IDENTITY, "What the model is for.", may_have_default=True)
    ]
    owner: Annotated[
        str | None,
        tag_field(
            FieldGroup.IDENTITY,
            "The person or team accountable for the model.",
            may_have_default=True,
            names_people=True,
        ),
    ]
    ai_system: Annotated[
        str | None, tag_field(FieldGroup.IDENTITY, "The AI system that the model is a part of.", may_have_default=True)
    ]

    version_number: Annotated[
        int, FieldSpec(FieldGroup.LIFECYCLE, "The version's number in MLflow.", FieldType.INTEGER, is_key=True)
    ]
    lifecycle_stage: Annotated[
        str | None,
        FieldSpec(
            FieldGroup.LIFECYCLE,
            "The lifecycle stage, from MLflow's stage, aliases or tags: production, staging, development or archived.",
            filled_from=FilledFrom.TAGS,
            normal_forms=("production", "staging", "development", "archived"),
        ),
    ]
    aliases: Annotated[
        Json, FieldSpec(FieldGroup.LIFECYCLE, "The aliases that point to the version, sorted.", FieldType.JSON_LIST)
    ]
    created_at: Annotated[
        datetime | None, FieldSpec(FieldGroup.LIFECYCLE, "When MLflow created the version, UTC.", FieldType.TIMESTAMP)
    ]
    last_updated_at: Annotated[
        datetime | None,
        FieldSpec(
            FieldGroup.LIFECYCLE,
            "When the version last changed in MLflow, UTC. Changes of tags and aliases do not count.",
            FieldType.TIMESTAMP,
        ),
    ]
    deployment_status: Annotated[
        str | None,
        tag_field(
            FieldGroup.LIFECYCLE,
            "Whether the version is deployed, according to its tags, else its stage or aliases: deployed, "
            "partly_deployed, pending or not_deployed.",
            normal_forms=("deployed", "partly_deployed", "pending", "not_deployed"),
            neighbors_agree=True,
        ),
    ]
    source_run_id: Annotated[
        str | None, attribute_field(FieldGroup.LIFECYCLE, "The training run that produced the version.")
    ]
    logged_model_id: Annotated[
        str | None,
        attribute_field(FieldGroup.LIFECYCLE, "The logged model that the version was registered from (MLflow 3)."),
    ]
    source_artifact_uri: Annotated[
        str | None, attribute_field(FieldGroup.LIFECYCLE, "The location of the version's files.")
    ]

    training_status: Annotated[str | None, attribute_field(FieldGroup.TRAINING, "How the training run ended.")]
    training_user: Annotated[
        str | None,
        attribute_field(
            FieldGroup.TRAINING, "The account that started the training run.", may_lack_value=True, names_people=True
        ),
    ]
    training_started_at: Annotated[
        datetime | None, FieldSpec(FieldGroup.TRAINING, "When the training run started, UTC.", FieldType.TIMESTAMP)
    ]
    training_ended_at: Annotated[
        datetime | None, FieldSpec(FieldGroup.TRAINING, "When the training run ended, UTC.", FieldType.TIMESTAMP)
    ]
    metrics: Annotated[
        Mapping[str, float] | None,
        FieldSpec(
            FieldGroup.TRAINING,
            "The last value of each metric of the run. Null without a readable run; empty if it logged none.",
            FieldType.JSON_OBJECT,
        ),
    ]
    hyperparameters: Annotated[
        Mapping[str, str] | None,
        FieldSpec(
            FieldGroup.TRAINING,
            "The parameters of the run. Null without a readable run; empty if it logged none.",
            FieldType.JSON_OBJECT,
        ),
    ]
    evaluation_tags: Annotated[
        Mapping[str, str] | None,
        FieldSpec(FieldGroup.TRAINING, "The tags about validation and evaluation, as written.", FieldType.JSON_OBJECT),
    ]
    generative_evaluation: Annotated[
        Json,
        FieldSpec(
            FieldGroup.TRAINING,
            "The assessments of the logged model's traces, counted, and its evaluation data sets.",
            FieldType.JSON_OBJECT,
        ),
    ]

    experiment_id: Annotated[str | None, attribute_field(FieldGroup.LINEAGE, "The id of the run's experiment.")]
    experiment_name: Annotated[str | None, attribute_field(FieldGroup.LINEAGE, "The name of the run's experiment.")]
    code_commit: Annotated[str | None, tag_field(FieldGroup.LINEAGE, "The commit of the training code.")]
    training_entrypoint: Annotated[
        str | None, tag_field(FieldGroup.LINEAGE, "The script or notebook that trained the model.")
    ]
    dataset_reference: Annotated[
        Json,
        tag_field(
            FieldGroup.LINEAGE,
            "The training data: a list of {name, digest, source_type, source, context}.",
            FieldType.JSON_LIST,
        ),
    ]
    artifact_uri: Annotated[str | None, attribute_field(FieldGroup.LINEAGE, "The location of the run's files.")]

    risk_category: Annotated[
        str | None,
        tag_field(
            FieldGroup.COMPLIANCE,
            "The risk category: prohibited, high, limited, medium, low or minimal.",
            may_have_default=True,
            normal_forms=("prohibited", "high", "limited", "medium", "low", "minimal"),
        ),
    ]
    model_tier: Annotated[
        str | None,
        tag_field(
            FieldGroup.COMPLIANCE,
            "The tier of model risk management, as under SR 11-7: high, medium or low.",
            may_have_default=True,
            normal_forms=("high", "medium", "low"),
        ),
    ]
    regulatory_scope: Annotated[
        str | None,
        tag_field(FieldGroup.COMPLIANCE, "The regulations that apply, according to the tags.", may_have_default=True),
    ]
    data_sensitivity: Annotated[
        str | None,
        tag_field(
            FieldGroup.COMPLIANCE,
            "Whether the training data is about people: special_category, personal or none.",
            may_have_default=True,
            normal_forms=("special_category", "personal", "none"),
        ),
    ]
    confidentiality: Annotated[
        str | None,
        tag_field(
            FieldGroup.COMPLIANCE,
            "The confidentiality class of the data: restricted, confidential, internal or public.",
            may_have_default=True,
            normal_forms=("restricted", "confidential", "internal", "public"),
        ),
    ]
    privacy_assessment_status: Annotated[
        str | None,
        assessment_field(
            "The status of the privacy assessment: completed, in_progress, not_done, not_required or expired.",
        ),
    ]
    fundamental_rights_assessment_status: Annotated[
        str | None,
        assessment_field(
            "The status of the fundamental rights impact assessment, in the forms of the privacy assessment.",
        ),
    ]
    human_oversight_status: Annotated[
        str | None,
        assessment_field(
            "Whether human oversight was designed and assessed, in the forms of the privacy assessment.",
        ),
    ]
    compliance_approver: Annotated[str | None, attestation_field("Who approved the version.", names_people=True)]
    approval_date: Annotated[str | None, attestation_field("When the version was approved, as written.", is_date=True)]
    reviewer: Annotated[str | None, attestation_field("Who reviewed the version.", names_people=True)]
    validator: Annotated[
        str | None, attestation_field("Who validated the version, independently of its developers.", names_people=True)
    ]
    validation_date: Annotated[
        str | None, attestation_field("When the version was validated, as written.", is_date=True)
    ]
    security_assessment_version: Annotated[
        str | None, attestation_field("The security assessment of the version.", may_be_identifier=True)
    ]
    monitoring_evidence: Annotated[
        str | None,
        attestation_field(
            "The evidence that the version is monitored, such as a drift report or its date.", may_be_identifier=True
        ),
    ]
    model_kind: Annotated[
        str | None,
        tag_field(
            FieldGroup.COMPLIANCE,
            "The kind of the model: generative or predictive.",
            may_have_default=True,
            normal_forms=("generative", "predictive"),
        ),
    ]
    base_model: Annotated[
        str | None, tag_field(FieldGroup.COMPLIANCE, "The pre-trained model that the version builds on.")
    ]
    base_model_license: Annotated[str | None, tag_field(FieldGroup.COMPLIANCE, "The license of the pre-trained model.")]
    prompt_reference: Annotated[
        str | None, tag_field(FieldGroup.COMPLIANCE, "The versions of the prompts that the version uses.")
    ]
    linked_prompts: Annotated[
        Json,
        FieldSpec(
            FieldGroup.COMPLIANCE,
            "These prompts in the registry: a list of {name, version, alias, state, template_sha256}.",
            FieldType.JSON_LIST,
        ),
    ]
    safety_evaluation: Annotated[
        str | None,
        attestation_field(
            "The evaluation of the safety of generated content, such as a red-teaming report.", may_be_identifier=True
        ),
    ]

    runtime_environment: Annotated[
        Json,
        FieldSpec(
            FieldGroup.ARTIFACTS,
            "The Python version, the packages, and whether they are pinned.",
            FieldType.JSON_OBJECT,
        ),
    ]
    artifact_manifest: Annotated[
        Json,
        FieldSpec(FieldGroup.ARTIFACTS, "The version's files with their hashes and signatures.", FieldType.JSON_OBJECT),
    ]
    evidence_files: Annotated[
        Json,
        FieldSpec(
            FieldGroup.ARTIFACTS, "The files that are evidence: model cards, reports, signatures.", FieldType.JSON_LIST
        ),
    ]


def _field_specs() -> dict[str, FieldSpec]:
    hints = get_type_hints(CanonicalRecord, include_extras=True)
    return {name: hint.__metadata__[0] for name, hint in hints.items()}


FIELD_SPECS: Final[Mapping[str, FieldSpec]] = _field_specs()
"""Field name to its definition, in the canonical order."""

FIELDS: Final[tuple[str, ...]] = tuple(FIELD_SPECS)
"""The record's fields in their canonical order."""

FIELDS_BY_GROUP: Final[Mapping[FieldGroup, tuple[str, ...]]] = {
    group: tuple(name for name, spec in FIELD_SPECS.items() if spec.group is group) for group in FieldGroup
}

TAG_FIELDS: Final = tuple(name for name, spec in FIELD_SPECS.items() if spec.filled_from is FilledFrom.TAGS)
"""The fields that a tag can fill."""

PRECEDENCE_FIELDS: Final = tuple(
    name for name, spec in FIELD_SPECS.items() if spec.filled_from is not FilledFrom.OBJECTS
)
"""The fields whose value is one text, taken from the first value source that has a text."""

DEFAULTABLE_FIELDS: Final = tuple(name for name, spec in FIELD_SPECS.items() if spec.may_have_default)
"""The fields for which ``tenants.yaml`` may state one value for all versions."""

ATTESTATIONS: Final = tuple(name for name, spec in FIELD_SPECS.items() if spec.is_attestation)
"""The fields that vouch for one version, and the dates of doing so."""

NORMAL_FORMS: Final[Mapping[str, tuple[str, ...]]] = {
    name: spec.normal_forms for name, spec in FIELD_SPECS.items() if spec.normal_forms
}
"""The allowed values of each field with a closed set of values, in order of severity or rank, highest first."""

FIELDS_ABOUT_USE: Final = ("lifecycle_stage", "deployment_status")
"""The fields that state whether a version is in use."""

STATUSES_IN_USE: Final = ("deployed", "partly_deployed")
"""The deployment statuses of a version that is in use."""

MAY_LACK_VALUE: Final = tuple(name for name, spec in FIELD_SPECS.items() if spec.may_lack_value)
"""The fields whose text may hold no value: see ``ValueState``."""
