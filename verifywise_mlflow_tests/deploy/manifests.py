"""The manifests of deploy/kubernetes, and the job that Dagster's launcher makes for a run with their dagster.yaml."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import yaml
from dagster_k8s.container_context import K8sContainerContext
from dagster_k8s.job import construct_dagster_k8s_job
from dagster_k8s.launcher import K8sRunLauncher
from kubernetes.client import ApiClient  # type: ignore[import-untyped]

from verifywise_mlflow_tests.support.documentation import ROOT

KUBERNETES = ROOT / "deploy" / "kubernetes"

VERSIONS = ("1.30", "1.34")
"""The releases of Kubernetes whose schemas the manifests are validated with."""
IMAGE = "registry.example/verifywise-mlflow:0.1.0"

Manifest = dict[str, Any]


def read(path: str) -> Any:
    """Return the content of a YAML file."""
    return yaml.safe_load((KUBERNETES / path).read_text(encoding="utf-8"))


def resources(folder: str) -> Iterator[Manifest]:
    """Return the objects that the kustomization in a folder lists, unchanged from their files."""
    for resource in read(f"{folder}/kustomization.yaml")["resources"]:
        if resource.startswith("../"):
            yield from resources(resource.removeprefix("../"))
        else:
            yield from yaml.safe_load_all((KUBERNETES / folder / resource).read_text(encoding="utf-8"))


def run_job(run_launcher: Manifest, image: str, home: Path) -> Manifest:
    """Return the Kubernetes job of a run, which Dagster's own functions build. Dagster validates the configuration.

    The launcher loads a client for Kubernetes when it is created. The client's configuration names no real cluster,
    since nothing is sent.
    """
    kubeconfig = home / "kubeconfig"
    cluster = {"name": "none", "cluster": {"server": "https://127.0.0.1:1"}}
    context = {"name": "none", "context": {"cluster": "none", "user": "none"}}
    user = {"name": "none", "user": {}}
    kubeconfig.write_text(
        yaml.safe_dump({"current-context": "none", "clusters": [cluster], "contexts": [context], "users": [user]})
    )
    client = {"load_incluster_config": False, "kubeconfig_file": str(kubeconfig)}
    instance_config = {"run_launcher": run_launcher | {"config": run_launcher["config"] | client}}
    (home / "dagster.yaml").write_text(yaml.safe_dump(instance_config))
    with dg.DagsterInstance.from_config(str(home)) as instance:
        launcher = instance.run_launcher
        assert isinstance(launcher, K8sRunLauncher)
        run = dg.DagsterRun(job_name="sync", run_id="5bfc9c43-3e73-4d1e-9a0c-0d2b8c8c7b11")
        container = K8sContainerContext.create_for_run(run, launcher, include_run_tags=True)
        job = construct_dagster_k8s_job(
            job_config=container.get_k8s_job_config(job_image=image, run_launcher=launcher),
            args=["dagster", "api", "execute_run", "{}"],
            job_name="dagster-run-5bfc9c43",
            pod_name="dagster-run-5bfc9c43",
            component="run_worker",
            user_defined_k8s_config=container.run_k8s_config,
        )
        manifest: Manifest = ApiClient().sanitize_for_serialization(job)
    return manifest


_VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
"""The kinds of volumes that the standard allows."""


def restricted_violations(spec: Manifest) -> list[str]:
    """Return the settings of a pod that the Pod Security Standard `restricted` forbids.

    https://kubernetes.io/docs/concepts/security/pod-security-standards/
    """
    found = []
    pod = spec.get("securityContext") or {}
    for container in [*spec["containers"], *spec.get("initContainers", [])]:
        context = container.get("securityContext") or {}
        either = pod | context
        found += [
            f"{container['name']}: {rule}"
            for rule, holds in (
                ("runAsNonRoot", either.get("runAsNonRoot") is True and either.get("runAsUser") != 0),
                ("seccompProfile", (either.get("seccompProfile") or {}).get("type") in ("RuntimeDefault", "Localhost")),
                ("allowPrivilegeEscalation", context.get("allowPrivilegeEscalation") is False),
                ("drop ALL", (context.get("capabilities") or {}).get("drop") == ["ALL"]),
                ("no added capability", not (context.get("capabilities") or {}).get("add")),
                ("not privileged", not context.get("privileged")),
                ("no host port", not any("hostPort" in port for port in container.get("ports", []))),
            )
            if not holds
        ]
    found += [key for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key)]
    found += [
        f"volume {volume['name']}" for volume in spec.get("volumes", []) if not set(volume) - {"name"} <= _VOLUMES
    ]
    return found
