from __future__ import annotations

from dataclasses import replace

import pytest

from verifywise_mlflow.connector.models import RegisteredModel
from verifywise_mlflow.normalizer.mapping.tag_mapping import TagMapping, default_mapping
from verifywise_mlflow.normalizer.normalize import RecordInputs, normalize
from verifywise_mlflow.normalizer.origin import Origin
from verifywise_mlflow_tests.support.record_inputs_factory import inputs, normalized, sentences


@pytest.mark.parametrize(
    ("record_inputs", "stage", "origin"),
    [
        (inputs(stage="Production"), "production", Origin("version", "current_stage", "Production")),
        (inputs(stage="Staging", aliases=("champion",)), "production", Origin("alias", "champion", "champion")),
        (inputs(stage="Archived", aliases=("champion",)), "production", Origin("alias", "champion", "champion")),
        (inputs(stage="Archived", aliases=("challenger",)), "staging", Origin("alias", "challenger", "challenger")),
        (inputs(stage="Archived", aliases=("v3",)), "archived", Origin("version", "current_stage", "Archived")),
        (inputs(stage="Archived", aliases=("retired",)), "archived", Origin("version", "current_stage", "Archived")),
        (
            inputs(stage="Production", aliases=("retired", "dev")),
            "production",
            Origin("version", "current_stage", "Production"),
        ),
        (
            inputs(stage="Archived", version_tags={"stage": "production"}),
            "archived",
            Origin("version", "current_stage", "Archived"),
        ),
        (inputs(aliases=("champion",)), "production", Origin("alias", "champion", "champion")),
        (inputs(aliases=("Prod",)), "production", Origin("alias", "Prod", "Prod")),
        (
            inputs(aliases=("challenger",), version_tags={"stage": "dev"}),
            "staging",
            Origin("alias", "challenger", "challenger"),
        ),
        (inputs(aliases=("retired", "dev", "candidate")), "staging", Origin("alias", "candidate", "candidate")),
        (inputs(aliases=("archived", "dev")), "development", Origin("alias", "dev", "dev")),
        (
            inputs(aliases=("v3",), version_tags={"stage": " PROD "}),
            "production",
            Origin("version tag", "stage", " PROD "),
        ),
        (inputs(run_tags={"env": "staging"}), "staging", Origin("run tag", "env", "staging")),
        (inputs(stage="Canaries", aliases=("live",)), "production", Origin("alias", "live", "live")),
    ],
)
def test_the_stage_is_the_highest_of_stage_and_aliases_or_else_from_a_tag(
    record_inputs: RecordInputs, stage: str, origin: Origin
) -> None:
    result = normalized(record_inputs)

    assert result.record.lifecycle_stage == stage
    assert replace(result.origins["lifecycle_stage"], rule=None) == origin


@pytest.mark.parametrize(
    ("record_inputs", "rule"),
    [
        (inputs(aliases=("champion",)), None),
        (inputs(aliases=("champion", "v3"), version_tags={"stage": "blue"}), None),
        (
            inputs(stage="Archived", aliases=("champion",)),
            "alias 'champion' says production, version 'current_stage' says archived: the first counts, in the order "
            "the highest of version current_stage and alias, version tag, run tag; "
            "highest first: production, staging, development, archived",
        ),
        (
            inputs(aliases=("staging", "champion"), run_tags={"env": "prod"}),
            "alias 'champion' says production, alias 'staging' says staging, run tag 'env' says production: "
            "the first counts, in the order the highest of version current_stage and alias, version tag, run tag; "
            "highest first: production, staging, development, archived",
        ),
    ],
)
def test_the_origin_explains_the_choice_between_several_stages(record_inputs: RecordInputs, rule: str | None) -> None:
    assert normalized(record_inputs).origins["lifecycle_stage"].rule == rule


def test_the_explanation_names_at_most_ten_aliases() -> None:
    aliases = tuple(f"champion-{number}" for number in range(100))

    rule = normalized(inputs(aliases=aliases)).origins["lifecycle_stage"].rule

    assert rule is not None
    assert "90 more say something" in rule
    assert len(rule) < 700


def test_a_models_tag_does_not_set_the_stage_of_its_versions() -> None:
    assert normalized(inputs(model_tags={"stage": "production"})).record.lifecycle_stage is None


def test_an_alias_of_another_version_is_ignored() -> None:
    record_inputs = replace(inputs(), model=RegisteredModel("fraud", aliases={"champion": 2}))

    assert normalized(record_inputs).record.lifecycle_stage is None


def test_an_alias_that_says_nothing_about_use_causes_no_finding() -> None:
    aliases = ("previous-best", "latest", "v3", "12", "rev_7", "2026-03-01", "2026q1", "baseline_v2", "c0ffee12ab")
    result = normalized(inputs(aliases=aliases))

    assert (result.record.lifecycle_stage, result.record.deployment_status, result.findings) == (None, None, ())


def test_an_unknown_stage_stays_as_written_and_is_reported() -> None:
    result = normalized(inputs(version_tags={"stage": "blue"}))

    assert result.record.lifecycle_stage == "blue"
    assert result.origins["lifecycle_stage"] == Origin("version tag", "stage", "blue")
    assert sentences(result) == ["lifecycle_stage: version tag 'stage' is 'blue', which is not a known form"]


def test_an_unknown_value_counts_only_under_a_stage_key_of_the_version() -> None:
    environment = inputs(version_tags={"environment": "py311"}, run_tags={"stage": "feature engineering"})

    assert normalized(environment).record.lifecycle_stage is None


@pytest.mark.parametrize(
    "alias", ["prod-eu", "prod_us", "production-v2", "champion_v1", "current-champion", "deployed"]
)
def test_qualifiers_in_an_alias_are_ignored(alias: str) -> None:
    assert normalized(inputs(aliases=(alias,))).record.lifecycle_stage == "production"


@pytest.mark.parametrize("alias", ["pre-prod-check", "v2", "latest", "nonprod", "not-prod"])
def test_an_alias_with_another_meaning_is_not_a_stage(alias: str) -> None:
    assert normalized(inputs(aliases=(alias,))).record.lifecycle_stage is None


def test_a_tenants_own_alias_is_understood_as_alias_and_in_a_tag() -> None:
    mapping = default_mapping().extended_by(TagMapping.model_validate({"aliases": {"production": ["blue"]}}))

    by_alias = normalize(inputs(aliases=("Blue",)), mapping)
    from_tag = normalize(inputs(version_tags={"stage": "blue"}), mapping)

    assert by_alias.record.lifecycle_stage == from_tag.record.lifecycle_stage == "production"


def test_aliases_of_several_stages_are_an_ambiguous_stage() -> None:
    result = normalized(inputs(aliases=("staging", "champion")))

    assert sentences(result) == [
        "lifecycle_stage: alias 'champion' says production and was used, but alias 'staging' says staging",
    ]


def test_an_archived_champion_is_in_production_and_a_finding() -> None:
    result = normalized(inputs(stage="Archived", aliases=("champion",)))

    assert result.record.lifecycle_stage == "production"
    assert sentences(result) == [
        "lifecycle_stage: alias 'champion' says production and was used, but version 'current_stage' says archived",
    ]


@pytest.mark.parametrize(
    ("setting", "sources", "stage", "rule"),
    [
        (
            "replace_precedence",
            [{"version": "current_stage"}, "alias"],
            "archived",
            "version 'current_stage' says archived, alias 'champion' says production: the first counts, "
            "in the order version current_stage, alias",
        ),
        (
            "replace_precedence",
            [{"highest of": [{"version": "current_stage"}, "version tag"]}],
            "staging",
            "version tag 'stage' says staging, version 'current_stage' says archived: the first counts, in the order "
            "the highest of version current_stage and version tag; "
            "highest first: production, staging, development, archived",
        ),
        (
            "precedence",
            ["version tag"],
            "staging",
            "version tag 'stage' says staging, alias 'champion' says production, version 'current_stage' says "
            "archived: the first counts, in the order version tag, the highest of version current_stage and alias, "
            "run tag; highest first: production, staging, development, archived",
        ),
    ],
)
def test_a_tenant_can_decide_which_word_about_the_stage_counts(
    setting: str, sources: list[object], stage: str, rule: str
) -> None:
    tenant_mapping = TagMapping.model_validate({setting: {"lifecycle_stage": sources}})
    archived_champion = inputs(stage="Archived", aliases=("champion",), version_tags={"stage": "staging"})

    result = normalize(archived_champion, default_mapping().extended_by(tenant_mapping))

    assert result.record.lifecycle_stage == stage
    assert result.origins["lifecycle_stage"].rule == rule
