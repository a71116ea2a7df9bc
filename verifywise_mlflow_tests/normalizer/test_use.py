"""Whether a version is in use: its deployment status, which mirrors the stage and the aliases, and the findings."""

from __future__ import annotations

from dataclasses import replace

import pytest

from verifywise_mlflow.connector.models import ModelVersion
from verifywise_mlflow.normalizer.mapping.mapping_index import mapping_index
from verifywise_mlflow.normalizer.mapping.tag_mapping import TagMapping, default_mapping
from verifywise_mlflow.normalizer.normalize import RecordInputs, normalize
from verifywise_mlflow.normalizer.origin import Origin
from verifywise_mlflow_tests.support.record_inputs_factory import inputs, normalized, sentences

TEXTS = {
    "deployed": (
        "deployed|serving|Live|serving 100% of traffic|100%|100|serving in eu-west|deployed to sagemaker|in production|"
        "InService|ACTIVE|on|rolled out 2026-03-01|has been deployed|all traffic|live since March 2026|yes|"
        "another service deployed it|notified users, serving"
    ),
    "partly_deployed": (
        "canary|canary 5%|5%|5% of traffic|shadow|shadow mode|mirror traffic|A/B test|partially deployed|pilot|"
        "serving 20% of traffic|deployed as a canary|takes some traffic"
    ),
    "pending": (
        "pending|in progress|rolling out|to be deployed|scheduled 2026-04-01|deployed to staging|UAT|"
        "ready for deployment"
    ),
    "not_deployed": (
        "no|false|not deployed|undeployed|not yet deployed|never|stopped|offline|0%|0% of traffic|no traffic|failed|"
        "serving 0% of traffic|not receiving traffic|no longer serving|not currently serving|no longer in production|"
        "retired|off"
    ),
    None: "serving?|sagemaker|somewhere|to be decided whether|notified the desk|another region",
}


@pytest.mark.parametrize(("text", "form"), [(text, form) for form, texts in TEXTS.items() for text in texts.split("|")])
def test_a_deployment_status_has_a_form(text: str, form: str | None) -> None:
    assert mapping_index(default_mapping()).normal_form("deployment_status", text) == form


@pytest.mark.parametrize(
    ("tags", "form"),
    [
        ({"deployed": "true"}, "deployed"),
        ({"is_live": "no"}, "not_deployed"),
        ({"traffic_percentage": "5"}, "partly_deployed"),
        ({"canary": "yes"}, "partly_deployed"),
        ({"canary": "no"}, None),
        ({"canary": "10%"}, "partly_deployed"),
        ({"in_production": "true"}, "deployed"),
    ],
)
def test_a_tag_about_traffic_states_the_deployment(tags: dict[str, str], form: str | None) -> None:
    assert normalized(inputs(version_tags=tags)).record.deployment_status == form


@pytest.mark.parametrize(
    ("record_inputs", "stage", "status", "origin"),
    [
        (inputs(stage="Production"), "production", "deployed", Origin("version", "current_stage", "Production")),
        (inputs(stage="Staging"), "staging", "pending", Origin("version", "current_stage", "Staging")),
        (inputs(stage="Archived"), "archived", "not_deployed", Origin("version", "current_stage", "Archived")),
        (inputs(aliases=("champion",)), "production", "deployed", Origin("alias", "champion", "champion")),
        (inputs(aliases=("canary-eu",)), "staging", "partly_deployed", Origin("alias", "canary-eu", "canary-eu")),
        (inputs(aliases=("shadow_v2",)), "staging", "partly_deployed", Origin("alias", "shadow_v2", "shadow_v2")),
        (
            inputs(aliases=("candidate", "challenger")),
            "staging",
            "partly_deployed",
            Origin("alias", "challenger", "challenger"),
        ),
        (inputs(aliases=("candidate",)), "staging", "pending", Origin("alias", "candidate", "candidate")),
        (
            inputs(stage="Archived", aliases=("champion",)),
            "production",
            "deployed",
            Origin("alias", "champion", "champion"),
        ),
        (inputs(version_tags={"stage": "prod"}), "production", "deployed", Origin("version tag", "stage", "prod")),
        (
            inputs(stage="Production", version_tags={"traffic": "5%"}),
            "production",
            "partly_deployed",
            Origin("version tag", "traffic", "5%"),
        ),
        (
            inputs(stage="Production", model_tags={"deployed": "no"}, version_tags={"deployment": "TBD"}),
            "production",
            "deployed",
            Origin("version", "current_stage", "Production"),
        ),
    ],
)
def test_the_deployment_mirrors_the_stage_and_the_aliases_if_no_tag_states_it(
    record_inputs: RecordInputs, stage: str, status: str, origin: Origin
) -> None:
    result = normalized(record_inputs)

    assert (result.record.lifecycle_stage, result.record.deployment_status) == (stage, status)
    assert replace(result.origins["deployment_status"], rule=None) == origin


@pytest.mark.parametrize(
    ("job_state", "aliases", "status"),
    [
        ("SUCCEEDED", (), "deployed"),
        ("APPROVAL", (), "pending"),
        ("FAILED", ("champion",), "deployed"),
        ("SUCCEEDED", ("candidate",), "deployed"),
        ("NO_VALID_DEPLOYMENT_JOB_FOUND", (), None),
        ("none", ("canary",), "partly_deployed"),
        ("none", (), None),
    ],
)
def test_a_deployment_job_counts_if_it_says_more_than_the_aliases(
    job_state: str, aliases: tuple[str, ...], status: str | None
) -> None:
    of_alias = inputs(aliases=aliases)
    record_inputs = replace(of_alias, version=ModelVersion("fraud", 3, deployment_job_state=job_state))

    assert normalized(record_inputs).record.deployment_status == status


@pytest.mark.parametrize(
    ("record_inputs", "findings"),
    [
        (inputs(aliases=("productive",)), []),
        (inputs(aliases=("champion", "eu-main")), []),
        (inputs(stage="Staging", version_tags={"deployment_status": "canary"}), ["partial traffic"]),
        (inputs(stage="Production", version_tags={"traffic": "5%"}), ["partial traffic"]),
        (inputs(stage="Staging", version_tags={"deployed": "no"}), []),
        (inputs(aliases=("canary",)), ["partial traffic"]),
        (inputs(aliases=("customer-facing",)), ["unknown alias"]),
        (inputs(aliases=("eu",)), ["unknown alias"]),
        (inputs(aliases=("blue-2",)), ["unknown alias"]),
        (inputs(stage="Archived", aliases=("main",)), ["unknown alias"]),
        (inputs(version_tags={"deployment_status": "serving 100% of traffic"}), ["use without stage"]),
        (inputs(run_tags={"traffic": "5%"}), ["use without stage", "partial traffic"]),
        (inputs(model_tags={"deployed": "yes"}), []),
        (inputs(stage="Archived", version_tags={"deployment_status": "serving"}), ["conflict"]),
        (inputs(stage="Archived", version_tags={"traffic": "5%"}), ["conflict", "partial traffic"]),
        (inputs(stage="Staging", version_tags={"deployment_status": "live"}), ["conflict"]),
        (inputs(stage="Production", version_tags={"deployed": "no"}), ["conflict"]),
        (inputs(stage="Production", version_tags={"deployment_status": "pending"}), ["conflict"]),
        (inputs(version_tags={"stage": "dev", "deployed": "yes"}), ["conflict"]),
        (inputs(stage="Archived", aliases=("champion",)), ["ambiguous stage"]),
        (inputs(version_tags={"deployment": "on the usual machine"}), ["unknown value"]),
        (inputs(version_tags={"deployment": "serving?"}), ["unknown value"]),
        (inputs(stage="Production", version_tags={"deployment": "TBD"}), ["no value"]),
    ],
)
def test_what_may_hide_use_is_a_finding(record_inputs: RecordInputs, findings: list[str]) -> None:
    assert [finding.kind for finding in normalized(record_inputs).findings] == findings


def test_the_findings_name_the_alias_the_tag_and_the_stage() -> None:
    unknown = normalized(inputs(aliases=("customers",)))
    unstaged = normalized(inputs(version_tags={"traffic": "all traffic"}))
    contradiction = normalized(inputs(stage="Archived", version_tags={"deployed": "yes"}))

    assert sentences(unknown) + sentences(unstaged) + sentences(contradiction) == [
        "the alias 'customers' stands for no known lifecycle stage, so it is unknown whether the version is in use by "
        "it",
        "version tag 'traffic' says 'all traffic', but no stage, alias or tag states the lifecycle stage",
        "deployment_status: version tag 'deployed' says deployed and was used, but version 'current_stage' says "
        "not_deployed",
    ]


@pytest.mark.parametrize(
    ("mapping", "status", "findings"),
    [
        ({"stageless_aliases": ["tenant", "nine"]}, None, []),
        ({"aliases": {"production": ["tenant nine"]}}, "deployed", []),
        (
            {"values": {"deployment_status": {"partly_deployed": ["tenant nine"]}}},
            "partly_deployed",
            ["use without stage", "partial traffic"],
        ),
    ],
)
def test_a_tenant_can_say_what_its_aliases_mean(mapping: object, status: str | None, findings: list[str]) -> None:
    own = TagMapping.model_validate(mapping)

    result = normalize(inputs(aliases=("tenant-nine",)), default_mapping().extended_by(own))

    assert result.record.deployment_status == status
    assert [finding.kind for finding in result.findings] == findings
