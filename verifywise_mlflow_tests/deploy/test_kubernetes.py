"""The Kubernetes manifests and the pods of runs are valid, restricted and consistent.

No cluster is needed: Kubernetes' schemas come with kubernetes-validate, and `kubectl kustomize` only renders files.
"""

from __future__ import annotations

import ipaddress
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from verifywise_mlflow.cli.app import all_commands
from verifywise_mlflow.container.services import Service, service_command, workspace
from verifywise_mlflow.dagster_yaml import instance_config
from verifywise_mlflow.persistence.migration_wait import MIGRATION_WAIT_SECONDS
from verifywise_mlflow.tenants.loading import load_tenants
from verifywise_mlflow_tests.deploy.manifests import (
    IMAGE,
    KUBERNETES,
    VERSIONS,
    Manifest,
    read,
    resources,
    restricted_violations,
    run_job,
)

PLAIN = list(resources("plain"))
LISTENER = list(resources("listener"))
POD_TEMPLATES = [manifest for manifest in PLAIN + LISTENER if manifest["kind"] in ("Deployment", "Job")]
EXAMPLE_NETWORKS = [ipaddress.ip_network(cidr) for cidr in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")]
"""RFC 5737: addresses for documentation, which nothing has."""


@pytest.fixture
def job(tmp_path: Path) -> Manifest:
    """The job of a run."""
    return run_job(read("services/dagster.yaml")["run_launcher"], IMAGE, tmp_path)


def name_of(manifest: Manifest) -> str:
    return f"{manifest['kind']} {manifest['metadata']['name']}"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("manifest", PLAIN + LISTENER, ids=name_of)
def test_each_object_is_valid_by_the_schema_of_kubernetes(manifest: Manifest, version: str) -> None:
    kubernetes_validate.validate(manifest, version, strict=True)


def test_the_schema_refuses_an_unknown_field() -> None:
    wrong = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"port": 1}}

    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[0], strict=True)


@pytest.mark.parametrize("manifest", POD_TEMPLATES, ids=name_of)
def test_each_pod_meets_the_restricted_standard_and_cannot_write_its_image(manifest: Manifest) -> None:
    spec = manifest["spec"]["template"]["spec"]

    assert restricted_violations(spec) == []
    assert [
        c["name"] for c in spec["containers"] if c["securityContext"].get("readOnlyRootFilesystem") is not True
    ] == []
    assert [c["name"] for c in spec["containers"] if set(c["resources"]) != {"requests", "limits"}] == []


def test_a_pod_without_settings_violates_the_restricted_standard() -> None:
    assert len(restricted_violations({"containers": [{"name": "a"}], "volumes": [{"name": "b", "hostPath": {}}]})) == 5


def test_kubernetes_enforces_the_standard() -> None:
    (namespace,) = [manifest for manifest in PLAIN if manifest["kind"] == "Namespace"]

    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_the_pod_of_a_run_is_valid_restricted_and_without_rights(job: Manifest) -> None:
    spec = job["spec"]["template"]["spec"]

    for version in VERSIONS:
        kubernetes_validate.validate(job, version, strict=True)
    assert restricted_violations(spec) == []
    (container,) = spec["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert (container["image"], container["imagePullPolicy"]) == (IMAGE, "IfNotPresent")
    assert container["args"][:3] == ["dagster", "api", "execute_run"]
    assert (spec["serviceAccountName"], spec["automountServiceAccountToken"]) == ("run", False)
    assert job["spec"]["ttlSecondsAfterFinished"] == 3600
    assert job["spec"]["backoffLimit"] == 0  # Dagster retries runs


def test_the_pod_of_a_run_gets_secrets_by_reference_and_one_folder_to_write(job: Manifest) -> None:
    spec = job["spec"]["template"]["spec"]
    (container,) = spec["containers"]

    values = {variable["name"]: variable.get("value") for variable in container["env"]}
    assert values["DAGSTER_HOME"] == "/opt/dagster/home"
    assert values["DAGSTER_PG_PASSWORD"] is None
    assert {source.popitem()[1]["name"] for source in container["envFrom"]} == {
        "verifywise-settings",
        "verifywise-database",
        "verifywise-tenants",
    }
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    written = [volume["name"] for volume in spec["volumes"] if "emptyDir" in volume]
    assert [mounts[name] for name in written] == ["/tmp"]


def test_a_policy_selects_the_pods_of_runs_by_the_label_that_dagster_sets(job: Manifest) -> None:
    label = job["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"]

    selected = [
        name_of(policy)
        for policy in PLAIN
        if policy["kind"] == "NetworkPolicy"
        for expression in policy["spec"]["podSelector"].get("matchExpressions", [])
        if label in expression["values"]
    ]
    assert selected == ["NetworkPolicy databases", "NetworkPolicy registries"]


def test_the_instance_is_the_default_one_with_the_launcher() -> None:
    instance = read("services/dagster.yaml")

    launcher = instance.pop("run_launcher")
    (namespace,) = [manifest["metadata"]["name"] for manifest in PLAIN if manifest["kind"] == "Namespace"]
    assert (launcher["module"], launcher["class"]) == ("dagster_k8s", "K8sRunLauncher")
    assert launcher["config"]["job_namespace"] == namespace
    assert instance == instance_config({})
    assert read("services/workspace.yaml") == workspace({"VERIFYWISE_CODE_SERVER": "code-server:4000"})


@pytest.mark.parametrize("service", ["webserver", "daemon", "code-server", "listen"])
def test_a_deployment_starts_its_service_on_the_port_that_is_probed(service: str) -> None:
    (manifest,) = [found for found in POD_TEMPLATES if found["metadata"]["name"] == service]
    (container,) = manifest["spec"]["template"]["spec"]["containers"]

    command = service_command(Service(service), Path("/opt/dagster/home"), {})
    assert container["args"] == [service]
    for port in container.get("ports", []):
        assert str(port["containerPort"]) in command
    ports = set(re.findall(r"'port': (\d+)", str([value for key, value in container.items() if "Probe" in key])))
    assert ports == {str(port["containerPort"]) for port in container.get("ports", [])}


def test_each_service_has_two_replicas_and_is_replaced_without_a_gap() -> None:
    deployments = {m["metadata"]["name"]: m["spec"] for m in POD_TEMPLATES if m["kind"] == "Deployment"}

    assert {name: spec["replicas"] for name, spec in deployments.items()} == dict.fromkeys(
        ("code-server", "daemon", "webserver", "listen"), 2
    )
    for spec in deployments.values():
        assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}


@pytest.mark.parametrize("service", ["code-server", "listen"])
def test_what_needs_the_database_waits_for_the_migration_before_it_replaces_an_older_one(service: str) -> None:
    (spec,) = [m["spec"]["template"]["spec"] for m in POD_TEMPLATES if m["metadata"]["name"] == service]
    (container,) = spec["initContainers"]

    program, *words = container["args"]
    assert (program, " ".join(words[:2])) == ("verifywise-mlflow", "db check")
    context = dict(all_commands())["db check"].make_context("check", words[2:])
    assert context.params["wait"] == MIGRATION_WAIT_SECONDS
    assert container["securityContext"]["readOnlyRootFilesystem"] is True


def test_nothing_is_reached_by_default_and_each_address_is_an_example() -> None:
    policies = {
        manifest["metadata"]["name"]: manifest["spec"] for manifest in PLAIN if manifest["kind"] == "NetworkPolicy"
    }

    assert policies["deny-all"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    blocks = re.findall(r"'cidr': '([^']+)'", str(policies))
    assert len(blocks) == 3
    for block in blocks:
        assert any(ipaddress.ip_network(block).subnet_of(network) for network in EXAMPLE_NETWORKS)  # type: ignore[arg-type]


def test_the_listener_reaches_the_database_only_and_has_no_secret_of_others() -> None:
    policies = {m["metadata"]["name"]: m["spec"] for m in LISTENER if m["kind"] == "NetworkPolicy"}
    (deployment,) = [m for m in LISTENER if m["kind"] == "Deployment"]
    label = deployment["spec"]["template"]["metadata"]["labels"]
    containers = [
        container
        for kind in ("containers", "initContainers")
        for container in deployment["spec"]["template"]["spec"][kind]
    ]

    assert {str(spec["podSelector"]["matchLabels"]) for spec in policies.values()} == {str(label)}
    assert [
        port["port"] for spec in policies.values() for rule in spec.get("egress", ()) for port in rule["ports"]
    ] == [5432]
    everywhere = [
        expression["values"]
        for m in PLAIN
        if m["kind"] == "NetworkPolicy"
        for expression in m["spec"]["podSelector"].get("matchExpressions", ())
    ]
    assert not [values for values in everywhere if "listen" in values]
    secrets = {s["secretRef"]["name"] for c in containers for s in c["envFrom"] if "secretRef" in s}
    assert secrets == {"verifywise-listener-database", "verifywise-webhooks"}


def test_code_servers_and_runs_have_no_rights_in_the_cluster() -> None:
    bound = {
        subject["name"] for manifest in PLAIN if manifest["kind"] == "RoleBinding" for subject in manifest["subjects"]
    }
    tokens = {
        manifest["metadata"]["name"]
        for manifest in POD_TEMPLATES
        if manifest["spec"]["template"]["spec"]["automountServiceAccountToken"]
    }

    assert bound == {"launcher"}
    assert tokens == {"daemon", "webserver"}
    verbs = {verb for m in PLAIN if m["kind"] == "Role" for rule in m["rules"] for verb in rule["verbs"]}
    assert verbs == {"create", "delete", "get", "list", "watch"}
    assert not any(m["kind"].startswith("Cluster") for m in PLAIN)


def test_the_example_tenants_load(tmp_path: Path) -> None:
    settings = dict(re.findall(r"^(\w+)=(.*)$", (KUBERNETES / "site" / "settings.env").read_text(), re.MULTILINE))

    assert set(load_tenants(KUBERNETES / "site" / "tenants.yaml")) == {"acme"}
    assert settings["VERIFYWISE_SECRET_SCOPE"] == "env:{TENANT}_"
    assert not [name for name in settings if "PASSWORD" in name]


@pytest.mark.skipif(
    shutil.which("kubectl") is None, reason="kubectl renders kustomizations: install it to run this test"
)
@pytest.mark.parametrize(
    ("folder", "deployments"),
    [("plain", {"code-server", "daemon", "webserver"}), ("helm", set()), ("listener", {"listen"})],
)
def test_kubectl_renders_valid_objects_with_one_image(folder: str, deployments: set[str]) -> None:
    done = subprocess.run(["kubectl", "kustomize", KUBERNETES / folder], capture_output=True, text=True, check=True)
    rendered: list[dict[str, Any]] = list(yaml.safe_load_all(done.stdout))

    for manifest in rendered:
        kubernetes_validate.validate(manifest, VERSIONS[-1], strict=True)
    assert {m["metadata"].get("namespace", "verifywise") for m in rendered} == {"verifywise"}
    assert {m["metadata"]["name"] for m in rendered if m["kind"] == "Deployment"} == deployments
    assert set(re.findall(r"image: (\S+)", done.stdout)) == {IMAGE}
    assert set(re.findall(r"DAGSTER_CURRENT_IMAGE\n\s+value: (\S+)", done.stdout)) == (
        {IMAGE} if "code-server" in deployments else set()
    )
    created = {name_of(m) for m in rendered}
    common = {"ConfigMap verifywise-settings", "ConfigMap verifywise-tenants", "Job migrate"}
    assert folder == "listener" or common <= created
