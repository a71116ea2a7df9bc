"""The canonical record, defined once: what governance needs to know about one version of one model.

The SQL columns, the CEL variables, Dagster's column schema, the groups that ``show`` prints and the fields that a tag
mapping may fill are all derived from the annotations of ``CanonicalRecord``.

To add a field: declare it here; if tags fill it, give it synonyms and a precedence in ``mapping/mapping.yaml``,
otherwise fill it in ``normalize.py``. The migration adds its column to canonical_records and canonical_record_history,
last in both, because the trigger copies ``OLD.*`` by position, and recreates the view canonical_record_states.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, Literal, TypeAlias, get_type_hints

from verifywise_mlflow.common.value_object import value_object
from verifywise_mlflow.normalizer.field_spec import FieldGroup, FieldSpec, FieldType, FilledFrom
from verifywise_mlflow.normalizer.findings import Finding
from verifywise_mlflow.normalizer.unread_object import UnreadObject

Json: TypeAlias = "str | int | float | bool | Sequence[Json] | Mapping[str, Json] | None"


@value_object
class CanonicalRecord:
    """One record per (model name, version number).

    A field is null where MLflow shows nothing for it: that is a gap, not an error. Times are UTC. The names are also
    the columns of the table ``canonical_records``.
    """

    model_name: Annotated[
        str,
        FieldSpec(FieldGroup.IDENTITY, "The registered model, as MLflow names it.", is_key=True),
    ]
    description: Annotated[
        str | None,
        FieldSpec(
            FieldGroup.IDENTITY,
            "The free-text description of the version, else of its model.",
            filled_from=FilledFrom.ATTRIBUTES,
            may_lack_value=True,
        ),
    ]
    business_purpose: Annotated[
        str | None,
        FieldSpec(
            FieldGroup.IDENTITY,
            "What the model is for.",
            filled_from=FilledFrom.TAGS,
            may_have_default=True,
            may_lack_value=True,
        ),
    ]
    owner: Annotated[
        str | None,
        FieldSpec(
            FieldGroup.IDENTITY,
            "The person or team accountable for the model.",
            filled_from=FilledFrom.TAGS,
            may_have_default=True,
            may_lack_value=True,
            names_people=True,
        ),
    ]
    ai_system: Annotated[
        str | None,
        FieldSpec(
            FieldGroup.IDENTITY,
            "The AI system that the model is a part of.",
            filled_from=FilledFrom.TAGS,
            may_have_default=True,
            may_lack_value=True,
        ),
    ]

    version_number: Annotated[
        int,
        FieldSpec(FieldGroup.LIFECYCLE, "The version's number in MLflow.", FieldType.INTEGER, is_key=True),
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
        Json,
        FieldSpec(
            FieldGroup.LIFECYCLE,
            "The aliases that point to the version, sorted.",
            FieldType.JSON_LIST,
        ),
    ]
    created_at: Annotated[
        datetime | None,
        FieldSpec(FieldGroup.LIFECYCLE, "When MLflow created the version, UTC.", FieldType.TIMESTAMP),
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
        FieldSpec(
            FieldGroup.LIFECYCLE,
            "Whether the version is deployed, according to its tags, else its stage or aliases: deployed, "
            "partly_deployed, pending or not_deployed.",
            filled_from=FilledFrom.TAGS,
            may_lack_value=True,
            normal_forms=("deployed", "partly_deployed", "pending", "not_deployed"),
            neighbors_agree=True,
        ),
    ]
    source_run_id: Annotated[
        str | None,
        FieldSpec(
            FieldGroup.LIFECYCLE, "The training run that produced the version.", filled_from=FilledFrom.ATTRIBUTES
        ),
    ]
    logged_model_id: Annotated[
        str | None,
        FieldSpec(
            FieldGroup.LIFECYCLE,
            "The logged model that the version was registered from (MLflow 3).",
            filled_from=FilledFrom.ATTRIBUTES,
        ),
    ]
    source_artifact_uri: Annotated[
        str | None,
        FieldSpec(FieldGroup.LIFECYCLE, "The location of the version's files.", filled_from=FilledFrom.ATTRIBUTES),
    ]

    training_status: Annotated[
        str | None,
        FieldSpec(FieldGroup.TRAINING, "How the training run ended.", filled_from=FilledFrom.ATTRIBUTES),
    ]
    training_user: Annotated[
        str | None,
        FieldSpec(
            FieldGroup.TRAINING,
            "The account that started the training run.",
            filled_from=FilledFrom.ATTRIBUTES,
            may_lack_value=True,
            names_people=True,
        ),
    ]
    training_started_at: Annotated[
        datetime | None,
        FieldSpec(FieldGroup.TRAINING, "When the training run started, UTC.", FieldType.TIMESTAMP),
    ]
    training_ended_at: Annotated[
        datetime | None,
        FieldSpec(FieldGroup.TRAINING, "When the training run ended, UTC.", FieldType.TIMESTAMP),
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

    experiment_id: Annotated[
        str | None,
        FieldSpec(FieldGroup.LINEAGE, "The id of the run's experiment.", filled_from=FilledFrom.ATTRIBUTES),
    ]
    experiment_name: Annotated[
        str | None,
        FieldSpec(FieldGroup.LINEAGE, "The name of the run's experiment.", filled_from=FilledFrom.ATTRIBUTES),
    ]
    code_commit: Annotated[
        str | None,
        FieldSpec(
            FieldGroup.LINEAGE,
            "The commit of the training code.",
            filled_from=FilledFrom.TAGS,
            may_lack_value=True,
        ),
    ]
    training_entrypoint: Annotated[
        str | None,
        FieldSpec(
            FieldGroup.LINEAGE,
            "The script or notebook that trained the model.",
            filled_from=FilledFrom.TAGS,
            may_lack_value=True,
        ),
    ]
    dataset_reference: Annotated[
        Json,
        FieldSpec(
            FieldGroup.LINEAGE,
            "The training data: a list of {name, digest, source_type, source, context}.",
            FieldType.JSON_LIST,
            filled_from=FilledFrom.TAGS,
            may_lack_value=True,
        ),
    ]
    artifact_uri: Annotated[
        str | None,
        FieldSpec(FieldGroup.LINEAGE, "The location of the run's files.", filled_from=FilledFrom.ATTRIBUTES),
    ]

    risk_category: Annotated[
        str | None,
        FieldSpec(
            FieldGroup.COMPLIANCE,
            "The risk category: prohibited, high, limited, medium, low or minimal.",
            filled_from=FilledFrom.TAGS,
            may_have_default=True,
            may_lack_value=True,
            normal_forms=("prohibited", "high", "limited", "medium", "low", "minimal"),
        ),
    ]
    model_tier: Annotated[
        str | None,
        FieldSpec(
            FieldGroup.COMPLIANCE,
            "The tier of model risk management, as under SR 11-7: high, medium or low.",
            filled_from=FilledFrom.TAGS,
            may_have_default=True,
            may_lack_value=True,
            normal_forms=("high", "medium", "low"),
        ),
    ]
    regulatory_scope: Annotated[
        str | None,
        FieldSpec(
            FieldGroup.COMPLIANCE,
            "The regulations that apply, according to the tags.",
            filled_from=FilledFrom.TAGS,
            may_have_default=True,
            may_lack_value=True,
        ),
    ]
    data_sensitivity: Annotated[
        str | None,
        FieldSpec(
            FieldGroup.COMPLIANCE,
            "Whether the training data is about people: special_category, personal or none.",
            filled_from=FilledFrom.TAGS,
            may_have_default=True,
            may_lack_value=True,
            normal_forms=("special_category", "personal", "none"),
        ),
    ]
    confidentiality: Annotated[
        str | None,
        FieldSpec(
            FieldGroup.COMPLIANCE,
            "The confidentiality class of the data: restricted, confidential, internal or public.",
            filled_from=FilledFrom.TAGS,
            may_have_default=True,
            may_lack_value=True,
            normal_forms=("restricted", "confidential", "internal", "public"),
        ),
    ]
    privacy_assessment_status: Annotated[
        str | None,
        FieldSpec(
            FieldGroup.COMPLIANCE,
            "The status of the privacy assessment: completed, in_progress, not_done, not_required or expired.",
            filled_from=FilledFrom.TAGS,
            normal_forms=("completed", "in_progress", "not_done", "not_required", "expired"),
            may_carry_date=True,
            may_lack_value=True,
            is_attestation=True,
        ),
    ]
    fundamental_rights_assessment_status: Annotated[
        str | None,
        FieldSpec(
            FieldGroup.COMPLIANCE,
            "The status of the fundamental rights impact assessment, in the forms of the privacy assessment.",
            filled_from=FilledFrom.TAGS,
            normal_forms=("completed", "in_progress", "not_done", "not_required", "expired"),
            may_carry_date=True,
            may_lack_value=True,
            is_attestation=True,
        ),
    ]
    human_oversight_status: Annotated[
        str | None,
        FieldSpec(
            FieldGroup.COMPLIANCE,
            "Whether human oversight was designed and assessed, in the forms of the privacy assessment.",
            filled_from=FilledFrom.TAGS,
            normal_forms=("completed", "in_progress", "not_done", "not_required", "expired"),
            may_carry_date=True,
            may_lack_value=True,
            is_attestation=True,
        ),
    ]
    compliance_approver: Annotated[
        str | None,
        FieldSpec(
            FieldGroup.COMPLIANCE,
            "Who approved the version.",
            filled_from=FilledFrom.TAGS,
            may_carry_date=True,
            may_lack_value=True,
            names_people=True,
            is_attestation=True,
        ),
    ]
    approval_date: Annotated[
        str | None,
        FieldSpec(
            FieldGroup.COMPLIANCE,
            "When the version was approved, as written.",
            filled_from=FilledFrom.TAGS,
            may_carry_date=True,
            is_date=True,
            may_lack_value=True,
            is_attestation=True,
        ),
    ]
    reviewer: Annotated[
        str | None,
        FieldSpec(
            FieldGroup.COMPLIANCE,
            "Who reviewed the version.",
            filled_from=FilledFrom.TAGS,
            may_carry_date=True,
            may_lack_value=True,
            names_people=True,
            is_attestation=True,
        ),
    ]
    validator: Annotated[
        str | None,
        FieldSpec(
            FieldGroup.COMPLIANCE,
            "Who validated the version, independently of its developers.",
            filled_from=FilledFrom.TAGS,
            may_carry_date=True,
            may_lack_value=True,
            names_people=True,
            is_attestation=True,
        ),
    ]
    validation_date: Annotated[
        str | None,
        FieldSpec(
            FieldGroup.COMPLIANCE,
            "When the version was validated, as written.",
            filled_from=FilledFrom.TAGS,
            may_carry_date=True,
            is_date=True,
            may_lack_value=True,
            is_attestation=True,
        ),
    ]
    security_assessment_version: Annotated[
        str | None,
        FieldSpec(
            FieldGroup.COMPLIANCE,
            "The security assessment of the version.",
            filled_from=FilledFrom.TAGS,
            may_carry_date=True,
            may_be_identifier=True,
            may_lack_value=True,
            is_attestation=True,
        ),
    ]
    monitoring_evidence: Annotated[
        str | None,
        FieldSpec(
            FieldGroup.COMPLIANCE,
            "The evidence that the version is monitored, such as a drift report or its date.",
            filled_from=FilledFrom.TAGS,
            may_carry_date=True,
            may_be_identifier=True,
            may_lack_value=True,
            is_attestation=True,
        ),
    ]
    model_kind: Annotated[
        str | None,
        FieldSpec(
            FieldGroup.COMPLIANCE,
            "The kind of the model: generative or predictive.",
            filled_from=FilledFrom.TAGS,
            may_have_default=True,
            may_lack_value=True,
            normal_forms=("generative", "predictive"),
        ),
    ]
    base_model: Annotated[
        str | None,
        FieldSpec(
            FieldGroup.COMPLIANCE,
            "The pre-trained model that the version builds on.",
            filled_from=FilledFrom.TAGS,
            may_lack_value=True,
        ),
    ]
    base_model_license: Annotated[
        str | None,
        FieldSpec(
            FieldGroup.COMPLIANCE,
            "The license of the pre-trained model.",
            filled_from=FilledFrom.TAGS,
            may_lack_value=True,
        ),
    ]
    prompt_reference: Annotated[
        str | None,
        FieldSpec(
            FieldGroup.COMPLIANCE,
            "The versions of the prompts that the version uses.",
            filled_from=FilledFrom.TAGS,
            may_lack_value=True,
        ),
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
        FieldSpec(
            FieldGroup.COMPLIANCE,
            "The evaluation of the safety of generated content, such as a red-teaming report.",
            filled_from=FilledFrom.TAGS,
            may_carry_date=True,
            may_be_identifier=True,
            may_lack_value=True,
            is_attestation=True,
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
"""The fields whose value is one text, taken from the first value source that has one."""

DEFAULTABLE_FIELDS: Final = tuple(name for name, spec in FIELD_SPECS.items() if spec.may_have_default)
"""The fields for which ``tenants.yaml`` may state one value for all versions."""

NORMAL_FORMS: Final[Mapping[str, tuple[str, ...]]] = {
    name: spec.normal_forms for name, spec in FIELD_SPECS.items() if spec.normal_forms
}
"""The allowed values of each field with a closed set of values, in order of severity or rank, highest first."""

FIELDS_ABOUT_USE: Final = ("lifecycle_stage", "deployment_status")
"""The fields that say whether a version is in use."""

STATUSES_IN_USE: Final = ("deployed", "partly_deployed")
"""The deployment statuses of a version that is in use."""

MAY_LACK_VALUE: Final = tuple(name for name, spec in FIELD_SPECS.items() if spec.may_lack_value)
"""The fields whose text may hold no value: see ``ValueState``."""

SourceKind = Literal[
    "version",
    "version tag",
    "model",
    "model tag",
    "alias",
    "run",
    "run tag",
    "experiment",
    "logged model",
    "artifact",
    "config",
]
"""``config`` means a default of the tenant's settings, not a value from MLflow."""


class ValueState(StrEnum):
    """Why a text is no value. The field is null then, so that no rule passes by it; the origin keeps the text."""

    PLACEHOLDER = "placeholder"
    """It says nothing: `TBD`, `n/a`, `?`."""
    NEGATIVE = "negative"
    """It denies what the field is about: `no`, `rejected by Ada`."""
    FAILED = "failed"
    """What the field is about was not done or not passed: `failed: 3 findings`."""
    GENERIC = "generic"
    """It names what any number of machines have: the account `root`, the launcher of a notebook's kernel."""

    @property
    def clause(self) -> str:
        """What such a text is, for a sentence."""
        return _STATE_CLAUSES[self]


_STATE_CLAUSES: Final[Mapping[ValueState, str]] = {
    ValueState.PLACEHOLDER: "a placeholder",
    ValueState.NEGATIVE: "a negation",
    ValueState.FAILED: "a failure",
    ValueState.GENERIC: "a name that any machine may have",
}


@value_object
class Origin:
    """The provenance of one field's value, so that an auditor can look it up."""

    source: SourceKind
    key: str
    """The tag, alias or attribute as the customer wrote it; the path of an artifact; the setting for ``config``."""
    raw: str | None
    """The text before normalization; null for a value that is not text and was copied as it is."""
    dated: str | None = None
    """The date in the text: ``2026-03-01``, ``2026-03``, ``2026-Q1`` or ``2026``."""
    rule: str | None = None
    """Why this value was chosen, if several sources had one."""
    link: str | None = None
    """How the object that has the value belongs to the version, if the version itself does not name that object."""
    state: ValueState | None = None
    """Why the text is no value, in which case the field is null; None if it is one."""
    same_person_as: tuple[str, ...] = ()
    """The other fields that name the same person (``same_person.py``), if a person attests something here."""
    may_be_same_person_as: tuple[str, ...] = ()
    """The other fields that may name the same person: it is unclear."""


@value_object
class NormalizedRecord:
    """A canonical record with its provenance, its read gaps and its findings."""

    record: CanonicalRecord
    origins: Mapping[str, Origin]
    """Field to origin, for every field that is not null or whose text is no value. ``evaluation_tags`` is collected
    from several tags: the origin of each is under ``evaluation_tags.KEY``."""
    incomplete: tuple[UnreadObject, ...]
    """The objects that could not be read; empty if the record holds everything that MLflow shows."""
    findings: tuple[Finding, ...]
    """What was read but looks wrong, such as an unknown value, a dangling alias or a deleted run."""
    prompt_names: tuple[str, ...] = ()
    """The prompts of the registry that ``prompt_reference`` may mean."""
