from __future__ import annotations

from dataclasses import replace

import pytest

from verifywise_mlflow.connector.models import TrainingRun
from verifywise_mlflow.normalizer.origin import Origin
from verifywise_mlflow.normalizer.record import NORMAL_FORMS
from verifywise_mlflow.normalizer.record_inputs import RecordInputs
from verifywise_mlflow_tests.support.record_inputs_factory import inputs, normalized, sentences

OF_VERSION, OF_MODEL, OF_RUN, OF_FILES = (
    {"purpose": f"of the {name}"} for name in ("version", "model", "run", "files")
)


@pytest.mark.parametrize(
    ("record_inputs", "source"),
    [
        (
            inputs(version_tags=OF_VERSION, model_tags=OF_MODEL, run_tags=OF_RUN, logged_model_tags=OF_FILES),
            "version tag",
        ),
        (inputs(model_tags=OF_MODEL, run_tags=OF_RUN, logged_model_tags=OF_FILES), "model tag"),
        (inputs(run_tags=OF_RUN, logged_model_tags=OF_FILES), "run tag"),
        (inputs(logged_model_tags=OF_FILES), "logged model"),
    ],
)
def test_the_nearest_object_wins(record_inputs: RecordInputs, source: str) -> None:
    result = normalized(record_inputs)

    assert result.origins["business_purpose"].source == source
    assert result.record.business_purpose == result.origins["business_purpose"].raw


def test_the_origin_has_the_tag_as_the_customer_wrote_it() -> None:
    result = normalized(inputs(run_tags={"Governance/Model-Owner": "  risk team "}))

    assert result.record.owner == "risk team"
    assert result.origins["owner"] == Origin("run tag", "Governance/Model-Owner", "  risk team ")


@pytest.mark.parametrize("blank", ["", "   ", "\t\n"])
def test_a_blank_tag_counts_as_missing(blank: str) -> None:
    assert normalized(inputs(version_tags={"owner": blank}, model_tags={"owner": "ann"})).record.owner == "ann"


def test_the_better_synonym_wins_on_one_object() -> None:
    assert normalized(inputs(version_tags={"contact": "bob", "team": "risk", "owner": "ann"})).record.owner == "ann"


@pytest.mark.parametrize(
    ("run", "owner", "origin"),
    [
        (
            TrainingRun("r1", user_id="u", tags={"team": "risk", "mlflow.user": "m"}),
            "risk",
            Origin("run tag", "team", "risk"),
        ),
        (TrainingRun("r1", user_id="u", tags={"mlflow.user": "m"}), "m", Origin("run tag", "mlflow.user", "m")),
        (TrainingRun("r1", user_id="u"), "u", Origin("run", "user_id", "u")),
    ],
)
def test_the_runs_user_is_the_owner_if_no_tag_names_one(run: TrainingRun, owner: str, origin: Origin) -> None:
    result = normalized(replace(inputs(), run=run))

    assert (result.record.owner, result.origins["owner"]) == (owner, origin)


@pytest.mark.parametrize(
    ("version_tags", "model_tags", "system", "purpose"),
    [
        ({"ai_system": "Lending"}, {}, "Lending", None),
        ({"verifywise.ai-system": "Lending"}, {"ai_system": "Loans"}, "Lending", None),
        ({"use_case": "Lending"}, {}, "Lending", "Lending"),
        ({"use_case": "Assess loans"}, {"ai_system": "Lending"}, "Lending", "Assess loans"),
        ({"ai_system": "TBD"}, {"use_case": "Lending"}, "Lending", "Lending"),
    ],
)
def test_a_use_case_states_a_purpose_and_names_the_system_if_nothing_else_does(
    version_tags: dict[str, str], model_tags: dict[str, str], system: str, purpose: str | None
) -> None:
    record = normalized(inputs(version_tags=version_tags, model_tags=model_tags)).record

    assert (record.ai_system, record.business_purpose) == (system, purpose)


def test_a_system_key_is_never_a_synonym() -> None:
    tags = {"mlflow.owner": "x", "mlflow.risk": "high", "mlflow.stage": "production"}
    record = normalized(inputs(version_tags=tags, run_tags=tags)).record

    assert (record.owner, record.risk_category, record.lifecycle_stage) == (None, None, None)


def test_an_unknown_value_stays_as_written_and_is_reported() -> None:
    result = normalized(inputs(version_tags={"risk": " grade 7 "}, model_tags={"risk": "high"}))

    assert result.record.risk_category == "grade 7"
    assert sentences(result) == ["risk_category: version tag 'risk' is 'grade 7', which is not a known form"]


def test_a_long_or_strange_value_is_truncated_and_escaped_in_the_finding_only() -> None:
    value = "\x00\ud800" + "xy" * 50_000
    result = normalized(inputs(version_tags={"risk": value}))

    assert result.record.risk_category == value
    assert "'\\x00\\ud800xyx" in result.findings[0].sentence
    assert len(result.findings[0].sentence) < 200


def test_conflicting_tags_are_a_finding() -> None:
    result = normalized(inputs(version_tags={"risk": "Low"}, run_tags={"risk_level": "HIGH"}))

    assert result.record.risk_category == "low"
    assert sentences(result) == [
        "risk_category: version tag 'risk' says low and was used, but run tag 'risk_level' says high",
    ]


CONFLICTING_VALUES = {
    "risk_category": ("risk", "high", "low"),
    "model_tier": ("model_risk_tier", "high", "low"),
    "data_sensitivity": ("data_classification", "none", "personal"),
    "confidentiality": ("confidentiality", "public", "restricted"),
    "privacy_assessment_status": ("dpia", "completed", "expired"),
    "fundamental_rights_assessment_status": ("fria", "completed", "expired"),
    "human_oversight_status": ("human_oversight", "completed", "expired"),
    "model_kind": ("model_kind", "predictive", "generative"),
    "lifecycle_stage": ("stage", "production", "archived"),
    "deployment_status": ("deployment_status", "not_deployed", "deployed"),
}


@pytest.mark.parametrize("field", NORMAL_FORMS)
def test_a_conflict_about_any_field_with_normal_forms_names_both_sources(field: str) -> None:
    key, version_value, run_value = CONFLICTING_VALUES[field]

    (finding,) = normalized(inputs(version_tags={key: version_value}, run_tags={key: run_value})).findings

    assert (finding.kind, finding.field) == ("ambiguous stage" if field == "lifecycle_stage" else "conflict", field)
    assert finding.sentence == (
        f"{field}: version tag '{key}' says {version_value} and was used, but run tag '{key}' says {run_value}"
    )


def test_two_spellings_of_one_value_are_not_a_conflict() -> None:
    assert normalized(inputs(version_tags={"risk": "High-Risk"}, run_tags={"risk": "high risk"})).findings == ()


@pytest.mark.parametrize(
    ("tags", "sensitivity"),
    [
        ({"contains_pii": "true"}, "personal"),
        ({"containsPII": "Yes"}, "personal"),
        ({"contains_pii": "false"}, "none"),
        ({"personal_data": "no"}, "none"),
        ({"personal_data": "special category"}, "special_category"),
        ({"special_category_data": "false"}, None),
        ({"contains_pii": "true", "contains_phi": "true"}, "special_category"),
        ({"contains_pii": "true", "data_classification": "anonymized"}, "personal"),
        ({"contains_pii": "false", "data_classification": "personal"}, "personal"),
        ({"pii": "names and addresses"}, "names and addresses"),
    ],
)
def test_a_key_can_be_answered_with_yes_or_no(tags: dict[str, str], sensitivity: str | None) -> None:
    assert normalized(inputs(version_tags=tags)).record.data_sensitivity == sensitivity


@pytest.mark.parametrize(
    ("tags", "status"),
    [
        ({"dpia": "DPIA done 2026-03-01"}, "completed"),
        ({"dpia_completed": "false"}, "not_done"),
        ({"dpia_required": "no"}, "not_required"),
        ({"dpia_required": "yes"}, None),
    ],
)
def test_the_privacy_assessment_has_many_keys(tags: dict[str, str], status: str | None) -> None:
    assert normalized(inputs(version_tags=tags)).record.privacy_assessment_status == status


@pytest.mark.parametrize(
    ("tags", "values"),
    [
        ({"data_classification": "Restricted"}, {"confidentiality": "restricted", "data_sensitivity": None}),
        ({"data_sensitivity": "confidential"}, {"confidentiality": "confidential", "data_sensitivity": None}),
        ({"data_classification": "internal use only"}, {"confidentiality": "internal", "data_sensitivity": None}),
        ({"data_class": "public"}, {"confidentiality": "public", "data_sensitivity": None}),
        ({"pii": "confidential"}, {"confidentiality": "confidential", "data_sensitivity": None}),
        ({"data_classification": "restricted", "confidentiality": "internal"}, {"confidentiality": "internal"}),
        (
            {"data_classification": "restricted", "pii": "no"},
            {"confidentiality": "restricted", "data_sensitivity": "none"},
        ),
        ({"confidentiality": "PII"}, {"confidentiality": None, "data_sensitivity": "personal"}),
        ({"confidentiality": "none"}, {"confidentiality": None, "data_sensitivity": None}),
        ({"risk_category": "Tier 1"}, {"risk_category": None, "model_tier": "high"}),
        ({"risk": "high"}, {"risk_category": "high", "model_tier": None}),
        ({"risk": "1"}, {"risk_category": "1", "model_tier": None}),
        ({"model_risk_tier": "High"}, {"risk_category": None, "model_tier": "high"}),
        ({"model_risk_tier": "high (Annex III)"}, {"risk_category": "high", "model_tier": None}),
        ({"model_risk_tier": "limited"}, {"risk_category": None, "model_tier": "limited"}),
    ],
)
def test_a_value_fills_the_related_field_whose_form_it_is(tags: dict[str, str], values: dict[str, str | None]) -> None:
    record = normalized(inputs(version_tags=tags)).record

    assert {field: getattr(record, field) for field in values} == values


@pytest.mark.parametrize(
    ("tags", "values"),
    [
        ({"model_type": "RandomForestClassifier"}, {"model_kind": "predictive"}),
        ({"model_type": "xgboost"}, {"model_kind": "predictive"}),
        ({"algorithm": "Logistic Regression"}, {"model_kind": "predictive"}),
        ({"task": "text-generation"}, {"model_kind": "generative"}),
        ({"model_type": "LLM"}, {"model_kind": "generative"}),
        ({"llm": "gpt-4o"}, {"model_kind": None, "base_model": "gpt-4o"}),
        ({"model_type": "pytorch"}, {"model_kind": None}),
        ({"model_kind": "pytorch"}, {"model_kind": "pytorch"}),
        ({"tier": "2"}, {"model_tier": "medium"}),
        ({"tier": "gold"}, {"model_tier": None}),
        ({"fria": "completed 2026-02-01"}, {"fundamental_rights_assessment_status": "completed"}),
        ({"fria_required": "no"}, {"fundamental_rights_assessment_status": "not_required"}),
        ({"human_in_the_loop": "true"}, {"human_oversight_status": "completed"}),
        ({"human_oversight_in_place": "no"}, {"human_oversight_status": "not_done"}),
        (
            {"validated_by": "model-validation-team"},
            {"validator": "model-validation-team", "compliance_approver": None},
        ),
        ({"validated_by": "passed"}, {"validator": None}),
        ({"reviewed_by": "Bob Stone"}, {"reviewer": "Bob Stone", "compliance_approver": None}),
        ({"approved_at": "2026-02-01"}, {"approval_date": "2026-02-01"}),
        ({"license": "Apache-2.0"}, {"base_model_license": "Apache-2.0"}),
    ],
)
def test_a_key_fills_the_field_that_it_is_about(tags: dict[str, str], values: dict[str, str | None]) -> None:
    record = normalized(inputs(version_tags=tags)).record

    assert {field: getattr(record, field) for field in values} == values


def test_a_key_that_is_also_used_for_other_things_causes_no_finding() -> None:
    assert normalized(inputs(version_tags={"model_type": "v2-large", "tier": "gold"})).findings == ()


def test_the_order_in_which_the_server_lists_tags_does_not_matter() -> None:
    tags = {
        "Owner": "b",
        "owner": "a",
        "OWNER": "c",
        "contains_pii": "no",
        "pii": "yes",
        "risk": "low",
        "risk_level": "high",
    }

    assert normalized(inputs(version_tags=tags)) == normalized(inputs(version_tags=dict(reversed(tags.items()))))
