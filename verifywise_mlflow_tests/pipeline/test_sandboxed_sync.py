"""A sync parses in the sandbox, records its protections, and continues after a file that crashes it."""

from __future__ import annotations

from functools import partial
from typing import cast

import pytest

from verifywise_mlflow.artifacts.sandbox.client import Sandbox
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline import due_manifests
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.artifacts.rogue_workers import fragile_parser, lying_parser
from verifywise_mlflow_tests.support.registry import MODEL_FILES, Registry
from verifywise_mlflow_tests.support.syncing import Row, record, rows, sync

pytestmark = pytest.mark.usefixtures("own_sandboxes")


def figures(store: Store) -> Row:
    """Return the part on manifests of the last sync's audit entry."""
    last = [row for row in rows(store, "audit_entries", "sequence") if row["kind"] == "sync ended"][-1]
    return cast("dict[str, Row]", last["counts"])["artifact_manifests"]


def test_the_audit_entry_lists_the_sandbox_protections(registry: Registry, tenant: Tenant, store: Store) -> None:
    registry.trained_version("churn")

    sync(tenant, store)
    in_force = figures(store)["sandbox"]
    sync(tenant, store)

    assert isinstance(in_force, list)
    assert in_force[:2] == ["separate-process", "empty-environment"]
    assert "rlimits" in in_force
    assert "sandbox" not in figures(store), "nothing was due, so nothing was started"


def test_a_sandbox_with_missing_protections_is_reported(
    registry: Registry, tenant: Tenant, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(due_manifests, "Sandbox", partial(Sandbox, parsing=lying_parser.__name__))
    registry.trained_version("churn")

    sync(tenant, store)

    (note,) = cast("list[str]", figures(store)["notes"])
    assert note.startswith("this system does not block in the sandbox")
    assert "new-processes" in note


def test_a_file_that_crashes_the_sandbox_affects_only_its_own_version(
    registry: Registry, tenant: Tenant, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(due_manifests, "Sandbox", partial(Sandbox, parsing=fragile_parser.__name__))
    files = {f"model/{name}": content for name, content in MODEL_FILES.items()}
    run_id = registry.run(files=files | {"model/MLmodel": b"pointer: null"})
    artifact_uri = registry.client.get_run(run_id).info.artifact_uri
    registry.version("a hostile one", run_id=run_id, source=f"{artifact_uri}/model")
    registry.trained_version("honest")

    sync(tenant, store)

    hostile = cast("Row", record(store, "a hostile one")["artifact_manifest"])
    honest_manifest = cast("Row", record(store, "honest")["artifact_manifest"])
    assert hostile["status"] == "partial"
    assert hostile["reason"] == "model: MLmodel not parsed: the sandbox failed: it was killed by SIGSEGV"
    assert honest_manifest["status"] == "complete"
    assert figures(store)["incomplete"] == 1
