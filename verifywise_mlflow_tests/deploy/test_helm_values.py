"""The values for Dagster's Helm chart give the instance of deploy/dagster.yaml, and restricted pods.

The chart is not part of this repository. The tests' statements about it come from the chart of Dagster 1.13. If
``DAGSTER_HELM_CHART`` names the folder of a chart (``helm pull dagster/dagster --untar``), the tests also check the
values against the chart's own schema.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import kubernetes_validate  # type: ignore[import-untyped]
import pytest

from verifywise_mlflow.container.services import CODE_LOCATION, MODULE
from verifywise_mlflow.dagster_yaml import instance_config
from verifywise_mlflow_tests.deploy.manifests import IMAGE, VERSIONS, read, restricted_violations, run_job

VALUES: dict[str, Any] = read("helm/values.yaml")
DAEMON: dict[str, Any] = VALUES["dagsterDaemon"]
(CODE_SERVER,) = VALUES["dagster-user-deployments"]["deployments"]
CHART = os.environ.get("DAGSTER_HELM_CHART")


def instance_of_the_chart() -> dict[str, Any]:
    """Return dagster.yaml as the chart's template writes it from these values, without storage and launcher."""
    coordinator = DAEMON["runCoordinator"]["config"]["customRunCoordinator"]
    ticks = {name: {"purge_after_days": VALUES["retention"][name]["purgeAfterDays"]} for name in ("sensor", "schedule")}
    pools = {
        name: {"use_threads": DAEMON[name]["useThreads"], "num_workers": DAEMON[name]["numWorkers"]}
        for name in ("sensors", "schedules")
    }
    return {
        "python_logs": {"python_log_level": VALUES["pythonLogs"]["pythonLogLevel"]},
        "telemetry": VALUES["telemetry"],
        "run_coordinator": coordinator,
        "retention": ticks,
        **pools,
        **VALUES["additionalInstanceConfig"],
    }


def test_the_instance_is_the_default_one() -> None:
    ours = instance_config({})
    del ours["storage"]  # the chart writes the three storages from its values for Postgres
    assert VALUES["computeLogManager"]["type"] == "NoOpComputeLogManager"
    del ours["compute_logs"]

    assert instance_of_the_chart() == ours
    assert VALUES["postgresql"]["postgresqlScheme"] == "postgresql+psycopg2"


def test_the_chart_writes_no_key_that_the_additional_configuration_repeats() -> None:
    assert DAEMON["runMonitoring"] == DAEMON["runRetries"] == {"enabled": False}
    assert "concurrency" not in VALUES


@pytest.mark.parametrize(
    "values", [VALUES["dagsterWebserver"], DAEMON, CODE_SERVER], ids=["webserver", "daemon", "code"]
)
def test_each_pod_of_the_chart_has_our_image_and_is_restricted(values: dict[str, Any]) -> None:
    container = {"name": "dagster", "securityContext": values["securityContext"]}
    spec = {"containers": [container], "securityContext": values["podSecurityContext"], "volumes": values["volumes"]}

    assert restricted_violations(spec) == []
    assert values["securityContext"]["readOnlyRootFilesystem"] is True
    assert f"{values['image']['repository']}:{values['image']['tag']}" == IMAGE
    assert {mount["name"] for mount in values["volumeMounts"]} == {volume["name"] for volume in values["volumes"]}


def test_the_code_server_loads_our_definitions() -> None:
    assert CODE_SERVER["dagsterApiGrpcArgs"] == ["--module-name", MODULE, "--location-name", CODE_LOCATION]


def test_the_pod_of_a_run_is_valid_and_restricted(tmp_path: Path) -> None:
    values = VALUES["runLauncher"]["config"]["k8sRunLauncher"]
    launcher = {
        "module": "dagster_k8s",
        "class": "K8sRunLauncher",
        "config": {
            "job_namespace": "verifywise",
            "service_account_name": VALUES["global"]["serviceAccountName"],
            "instance_config_map": "dagster-instance",
            "dagster_home": VALUES["global"]["dagsterHome"],
            "postgres_password_secret": VALUES["global"]["postgresqlSecretName"],
            "image_pull_policy": values["imagePullPolicy"],
            "env_config_maps": [source["name"] for source in values["envConfigMaps"]],
            "env_secrets": [source["name"] for source in values["envSecrets"]],
            "volumes": values["volumes"],
            "volume_mounts": values["volumeMounts"],
            "resources": values["resources"],
            "security_context": values["securityContext"],
            "run_k8s_config": {
                "pod_spec_config": values["runK8sConfig"]["podSpecConfig"],
                "job_spec_config": values["runK8sConfig"]["jobSpecConfig"],
            },
        },
    }

    job = run_job(launcher, IMAGE, tmp_path)

    spec = job["spec"]["template"]["spec"]
    kubernetes_validate.validate(job, VERSIONS[-1], strict=True)
    assert restricted_violations(spec) == []
    assert (spec["serviceAccountName"], spec["automountServiceAccountToken"]) == ("run", False)


def test_no_value_is_a_secret() -> None:
    assert VALUES["generatePostgresqlPasswordSecret"] is VALUES["generateCeleryConfigSecret"] is False
    assert "postgresqlPassword" not in VALUES["postgresql"]


@pytest.mark.skipif(not CHART, reason="DAGSTER_HELM_CHART does not name the folder of Dagster's chart")
def test_the_values_meet_the_charts_schema() -> None:
    schema = json.loads((Path(CHART or "") / "values.schema.json").read_text(encoding="utf-8"))
    # The schemas of Kubernetes' own types are at an address that is not fetched. These types are checked above.
    for definition in schema["definitions"].values():
        if str(definition.get("$ref", "")).startswith("http"):
            del definition["$ref"]
    for definition in [schema, *schema["definitions"].values()]:
        definition.pop("required", None)  # the chart's own defaults come first

    jsonschema.Draft7Validator(schema).validate(VALUES)
