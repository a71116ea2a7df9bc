from __future__ import annotations

from dataclasses import replace

import pytest

from verifywise_mlflow.connector.models import TrainingRun
from verifywise_mlflow.normalizer.record import NORMAL_FORMS, Origin
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


def test_a_system_key_is_never_a_synonym() -> None:
    tags = {"mlflow.owner": "x", "mlflow.risk": "high", "mlflow.stage": "production"}
    record = normalized(inputs(version_tags=tags, run_tags=tags)).record

    assert (record.owner, record.risk_category, record.lifecycle_stage) == (None, None, None)


def test_an_unknown_value_stays_as_written_and_is_reported() -> None:
    result = normalized(inputs(version_tags={"risk": " tier-1 "}, model_tags={"risk": "high"}))

    assert result.record.risk_category == "tier-1"
    assert sentences(result) == ["risk_category: version tag 'risk' is 'tier-1', which is not a known form"]


def test_a_long_or_strange_value_is_truncated_and_escaped_in_the_finding_only() -> None:
    value = "\x00\ud800" + "x" * 100_000
    result = normalized(inputs(version_tags={"risk": value}))

    assert result.record.risk_category == value
    assert "'\\x00\\ud800xxx" in result.findings[0].sentence
    assert len(result.findings[0].sentence) < 200


def test_conflicting_tags_are_a_finding() -> None:
    result = normalized(inputs(version_tags={"risk": "Low"}, run_tags={"risk_level": "HIGH"}))

    assert result.record.risk_category == "low"
    assert sentences(result) == [
        "risk_category: version tag 'risk' says low and was used, but run tag 'risk_level' says high",
    ]


CONFLICTING_VALUES = {
    "risk_category": ("risk", "high", "low"),
    "data_sensitivity": ("data_classification", "public", "personal"),
    "privacy_assessment_status": ("dpia", "completed", "expired"),
    "lifecycle_stage": ("stage", "production", "archived"),
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
        ({"contains_pii": "true", "data_classification": "internal"}, "personal"),
        ({"contains_pii": "false", "data_classification": "confidential"}, "confidential"),
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
