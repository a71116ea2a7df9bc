from __future__ import annotations

import time

import pytest
from pydantic import ValidationError

from verifywise_mlflow.normalizer.mapping.key_folding import fold
from verifywise_mlflow.normalizer.mapping.mapping_index import mapping_index
from verifywise_mlflow.normalizer.mapping.tag_mapping import TagMapping, default_mapping
from verifywise_mlflow.normalizer.mapping.value_sources import ValueSource
from verifywise_mlflow.normalizer.normalize import normalize
from verifywise_mlflow.normalizer.origin import Origin
from verifywise_mlflow.normalizer.record import NORMAL_FORMS, PRECEDENCE_FIELDS, TAG_FIELDS
from verifywise_mlflow_tests.support.record_inputs_factory import inputs


def tag_mapping(**sections: object) -> TagMapping:
    return TagMapping.model_validate(sections)


def test_the_default_has_synonyms_for_every_tag_field_and_a_precedence_for_every_resolved_field() -> None:
    default = default_mapping()

    assert set(default.synonyms) == set(TAG_FIELDS)
    assert set(default.precedence) == set(PRECEDENCE_FIELDS)
    assert set(default.aliases) == set(NORMAL_FORMS["lifecycle_stage"])


@pytest.mark.parametrize("field", [field for field in NORMAL_FORMS if field != "lifecycle_stage"])
def test_the_default_reads_every_normal_form_as_itself(field: str) -> None:
    normal_forms = {form: mapping_index(default_mapping()).normal_form(field, form) for form in NORMAL_FORMS[field]}

    assert normal_forms == {form: form for form in NORMAL_FORMS[field]}


def test_every_default_key_means_the_field_that_lists_it() -> None:
    index = mapping_index(default_mapping())
    for field, keys in default_mapping().synonyms.items():
        for key in keys:
            meaning = index.key_meaning(key)
            assert meaning is not None
            assert (key, meaning.field) == (key, field)


@pytest.mark.parametrize(
    ("mapping_fields", "sentence"),
    [
        (
            {"synonyms": {"ownr": ["x"]}},
            "'ownr' is not a field that tags can fill; write one of business_purpose",
        ),
        ({"values": {"owner": {"x": []}}}, "'owner' is not a field with normal forms; write one of lifecycle_stage"),
        (
            {"values": {"risk_category": {"hihg": ["x"]}}},
            "'hihg' is not a form of risk_category; write one",
        ),
        ({"questions": {"risk_category": {"x": {"affirmative": "no"}}}}, "'no' is not a form of risk_category"),
        ({"aliases": {"prod": ["x"]}}, "'prod' is not a lifecycle stage; write one of production, staging"),
        ({"synonyms": {"owner": ["mlflow.user"]}}, "name it under precedence, as {run tag: mlflow.user}"),
        ({"synonyms": {"owner": [True]}}, "put the word in quotes"),
        ({"synonyms": {"owner": ["--"]}}, "'--' has no letter or digit to compare"),
        (
            {"synonyms": {"owner": ["who"], "compliance_approver": ["Who"]}},
            "'Who' stands for both owner and compliance_app",
        ),
        ({"aliases": {"production": ["blue"], "staging": ["BLUE"]}}, "stands for both production and staging"),
        (
            {"precedence": {"risk_category": ["lifecycle stage"]}},
            "'lifecycle stage' is a source of deployment_status al",
        ),
        ({"related_fields": {"risk_category": {"model_tier": ["gold"]}}}, "'gold' is not a form of model_tier; write"),
        (
            {"weak_synonyms": {"model_kind": ["flavor"]}, "synonyms": {"base_model": ["Flavor"]}},
            "stands for both model_kind and base_model",
        ),
        ({"precedence": {"owner": [{"run": "password"}]}}, "write {run: artifact_uri}, {run: experiment_id}"),
        ({"precedence": {"owner": [{"alias": "champion"}]}}, "write another source"),
        (
            {"precedence": {"owner": [{"highest of": ["version tag", "model tag"]}]}},
            "owner: 'highest of' is for fields with normal forms: lifecycle_stage",
        ),
        ({"precedence": {"risk_category": ["highest of"]}}, "write {highest of: [...]} with a list of sources"),
        (
            {"precedence": {"risk_category": [{"highest of": [{"highest of": ["run tag"]}]}]}},
            "none of which is a list itself",
        ),
        ({"precedence": {"metrics": ["run tag"]}}, "'metrics' is not a field with a precedence"),
        ({"synonym": {}}, "Extra inputs are not permitted"),
        ({"key_patterns": {"owner": ["*"]}}, "'*' has no letter or digit to compare"),
        ({"value_patterns": {"risk_category": {"grave": ["x*"]}}}, "'grave' is not a form of risk_category"),
        ({"defaults": {"lifecycle_stage": "production"}}, "is not a field that can have a default; write one of"),
        ({"defaults": {"compliance_approver": "dpo"}}, "is not a field that can have a default"),
        (
            {"defaults": {"risk_category": "High-Risk"}},
            "'High-Risk' is not a form of risk_category; write one",
        ),
        (
            {"precedence": {"owner": ["run tag"]}, "replace_precedence": {"owner": ["run tag"]}},
            "owner is listed under both precedence and replace_precedence",
        ),
    ],
)
def test_a_mistake_is_reported_with_its_remedy(mapping_fields: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TagMapping.model_validate(mapping_fields)
    assert sentence in str(caught.value)


def test_a_tenant_without_a_mapping_has_the_default_one_itself() -> None:
    assert default_mapping().extended_by(tag_mapping()) is default_mapping()


def test_a_tenants_words_take_precedence_and_are_removed_from_the_default() -> None:
    tenant = tag_mapping(
        synonyms={"compliance_approver": ["team"]},
        values={"risk_category": {"high": ["tier-1"], "medium": ["critical"]}},
        aliases={"production": ["candidate"]},
        precedence={"owner": ["run tag"]},
    )
    extended = default_mapping().extended_by(tenant)

    assert extended.synonyms["compliance_approver"][0] == "team"
    assert "team" not in extended.synonyms["owner"]
    assert extended.values["risk_category"]["medium"][0] == "critical"
    assert "critical" not in extended.values["risk_category"]["high"]
    assert mapping_index(extended).stage_of_alias("candidate") == "production"
    assert [source.source for source in extended.precedence["owner"]][:2] == ["run tag", "version tag"]


def test_a_tenant_can_replace_the_value_sources_of_a_field() -> None:
    tenant = tag_mapping(replace_precedence={"owner": ["version tag", "run tag"]})
    trained_by_ann = inputs(run_tags={"mlflow.user": "ann"}, model_tags={"owner": "bob"})

    assert normalize(trained_by_ann, default_mapping().extended_by(tenant)).record.owner is None
    assert normalize(trained_by_ann, default_mapping()).record.owner == "bob"


@pytest.mark.parametrize(
    ("key", "field"),
    [
        ("acme-Tier.Of-Risk", "risk_category"),
        ("fraud_OWNER", "owner"),
        ("gov.fraud_owner", "owner"),
        ("fraud_owner_since", None),
        ("mlflow.fraud_owner", None),
        ("model_owner", "owner"),
        ("risk_owner", "compliance_approver"),
    ],
)
def test_a_tenants_key_patterns_match_unknown_keys_and_the_longest_wins(key: str, field: str | None) -> None:
    patterns = {"owner": ["*-owner"], "compliance_approver": ["risk_own*"], "risk_category": ["acme tier ?f risk"]}

    meaning = mapping_index(default_mapping().extended_by(tag_mapping(key_patterns=patterns))).key_meaning(key)

    assert (meaning.field if meaning else None) == field


def test_a_tenants_value_patterns_match_values_of_no_known_form() -> None:
    tenant = tag_mapping(value_patterns={"risk_category": {"high": ["tier 1*"], "low": ["Tier-3*", "high*"]}})
    index = mapping_index(default_mapping().extended_by(tenant))

    assert [
        index.normal_form("risk_category", value) for value in ("Tier-1b (credit)", "tier 3", "tier 2", "high")
    ] == [
        "high",
        "low",
        None,
        "high",
    ]


def test_a_pattern_with_many_stars_matches_a_hostile_key_in_linear_time() -> None:
    index = mapping_index(tag_mapping(key_patterns={"owner": ["*a*a*a*a*a*a*a*a*b"]}))

    started_at = time.monotonic()
    assert index.key_meaning("a" * 250) is None
    assert time.monotonic() - started_at < 1


def test_a_default_applies_only_where_mlflow_says_nothing() -> None:
    tenant = tag_mapping(defaults={"regulatory_scope": "EU AI Act", "risk_category": "high"})
    mapping = default_mapping().extended_by(tenant)

    silent = normalize(inputs(), mapping)
    tagged = normalize(inputs(model_tags={"risk": "low"}), mapping)

    assert (silent.record.regulatory_scope, silent.record.risk_category) == ("EU AI Act", "high")
    assert silent.origins["regulatory_scope"] == Origin(
        "config",
        "mapping.defaults.regulatory_scope",
        "EU AI Act",
        rule="stated in the tenant's settings for all versions, not taken from MLflow",
    )
    assert (tagged.record.risk_category, tagged.origins["risk_category"].source) == ("low", "model tag")
    assert (silent.findings, tagged.findings) == ((), ())


def test_a_tenant_can_give_a_yes_no_key_another_meaning() -> None:
    extended = default_mapping().extended_by(tag_mapping(synonyms={"business_purpose": ["PII"]}))

    meaning = mapping_index(extended).key_meaning("pii")

    assert meaning is not None
    assert meaning.field == "business_purpose"


def test_a_tenants_namespace_metric_and_yes_are_understood() -> None:
    tenant = tag_mapping(namespaces=["acme"], metrics=["uplift"], answers={"affirmative": ["sim"]})
    result = normalize(
        inputs(version_tags={"acme.owner": "ann", "uplift_week_1": "0.2", "contains_pii": "SIM"}),
        default_mapping().extended_by(tenant),
    )

    assert result.record.owner == "ann"
    assert result.record.evaluation_tags == {"uplift_week_1": "0.2"}
    assert result.record.data_sensitivity == "personal"


def test_extending_by_nothing_changes_nothing() -> None:
    assert default_mapping().extended_by(TagMapping()).digest() == default_mapping().digest()
    assert TagMapping().extended_by(default_mapping()) == default_mapping()


def test_the_digest_changes_with_the_mapping_and_not_with_the_order_of_its_fields() -> None:
    mapping = tag_mapping(synonyms={"owner": ["a"], "risk_category": ["b"]})

    assert mapping.digest() == tag_mapping(synonyms={"risk_category": ["b"], "owner": ["a"]}).digest()
    assert mapping.digest() != tag_mapping(synonyms={"owner": ["a", "c"], "risk_category": ["b"]}).digest()
    assert len(mapping.digest()) == 64


def test_a_value_source_round_trips_through_json() -> None:
    for written in ("version tag", {"run": "user_id"}, {"highest of": [{"version": "current_stage"}, "alias"]}):
        source = ValueSource.model_validate(written)
        assert ValueSource.model_validate(source.model_dump(mode="json")) == source


def test_no_two_default_keys_fold_to_one() -> None:
    folded = [fold(key) for keys in default_mapping().synonyms.values() for key in keys]
    assert sorted(folded) == sorted(set(folded))


@pytest.mark.parametrize(
    ("key", "value", "validator"),
    [
        ("quality_gate", "failed", None),
        ("quality_gate_status", "failed", None),
        ("quality_gate", "passed", "Vera Osei"),
        ("quality_gate", "Bob Stone", "Vera Osei"),
    ],
)
def test_a_tenant_can_say_which_keys_count_for_a_denial_only(key: str, value: str, validator: str | None) -> None:
    own = tag_mapping(denial_keys={"validator": ["quality_gate"]})
    tags = {"validator": "Vera Osei", key: value}

    result = normalize(inputs(version_tags=tags), default_mapping().extended_by(own))

    assert result.record.validator == validator


def test_a_key_with_a_meaning_of_its_own_counts_for_more_than_a_denial() -> None:
    own = tag_mapping(synonyms={"owner": ["approval_status"]}, key_patterns={"ai_system": ["validation_*"]})
    tags = {"approval_status": "Ada Lovelace", "validation_result": "Credit scoring"}

    record = normalize(inputs(version_tags=tags), default_mapping().extended_by(own)).record

    assert (record.owner, record.ai_system) == ("Ada Lovelace", "Credit scoring")


def test_a_tenant_can_say_which_keys_and_forms_fill_another_field() -> None:
    own = tag_mapping(
        weak_synonyms={"model_tier": ["kostenstelle"]},
        related_fields={"data_sensitivity": {"confidentiality": []}},
    )
    tags = {"Kostenstelle": "tier 1", "data_classification": "restricted"}

    record = normalize(inputs(version_tags=tags), default_mapping().extended_by(own)).record
    unknown = normalize(inputs(version_tags={"Kostenstelle": "4711"}), default_mapping().extended_by(own))

    assert (record.model_tier, record.confidentiality, record.data_sensitivity) == ("high", None, "restricted")
    assert (unknown.record.model_tier, unknown.findings) == (None, ())
