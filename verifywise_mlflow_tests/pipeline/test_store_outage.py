"""An unavailable store causes no false event, although MLflow lists its folders as empty."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from verifywise_mlflow.cli.app import app
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.context import SyncOptions
from verifywise_mlflow.pipeline.sync import Sync
from verifywise_mlflow.services.connection_check import check_connection
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.pipeline.artifact_folders import ArtifactFolders
from verifywise_mlflow_tests.support.proxy import FILE_ENDPOINTS, LISTING_ENDPOINTS, always, proxy_before, saying
from verifywise_mlflow_tests.support.registry import Registry
from verifywise_mlflow_tests.support.syncing import Row, record, rows, sync

REHASH = SyncOptions(rehash=True)
RECONCILE = SyncOptions(reconcile=True)
SENTENCE = "the artifact store looks unavailable"


def manifest(store: Store, model: str) -> Mapping[str, object]:
    stored_manifest = record(store, model)["artifact_manifest"]
    assert isinstance(stored_manifest, dict)
    return stored_manifest


def notes(run: Sync) -> str:
    return " ".join(note.text for note in run.reports[3].progress.warnings)


def conclusions(store: Store) -> Mapping[str, list[Row]]:
    """Return everything that a reader of the database sees of the versions, including the history."""
    return {
        table: rows(store, table)
        for table in (
            "integrity_events",
            "canonical_records",
            "canonical_record_history",
            "compliance_results",
            "compliance_result_history",
            "compliance_badges",
            "compliance_badge_history",
        )
    }


def integrity_verdicts(store: Store) -> set[object]:
    return {row["verdict"] for row in rows(store, "compliance_results") if row["rule_id"] == "artifact-integrity"}


def events(store: Store) -> list[tuple[object, object, object]]:
    return [(row["kind"], row["model_name"], row["path"]) for row in rows(store, "integrity_events")]


def test_a_store_that_is_away_for_a_rehash_leaves_no_trace_but_notes(
    full_registry: Registry, tenant: Tenant, store: Store, artifact_folders: ArtifactFolders
) -> None:
    assert full_registry
    sync(tenant, store)
    before = conclusions(store)

    with artifact_folders.away():
        during = [sync(tenant, store, REHASH), sync(tenant, store), sync(tenant, store, RECONCILE)]
        assert conclusions(store) == before
    back = sync(tenant, store, RECONCILE)

    for run in during:
        assert f"{SENTENCE}: 2 of 2 model folders list no files since" in notes(run)
    assert [report.reports[3].progress.read for report in during] == [3, 0, 3], "only a reconcile lists them again"
    assert conclusions(store) == before
    assert notes(back) == ""
    assert {row["held_back_since"] for row in rows(store, "artifact_manifests")} == {None}


def test_a_store_that_is_away_at_the_first_sync_is_no_baseline(
    full_registry: Registry, tenant: Tenant, store: Store, artifact_folders: ArtifactFolders
) -> None:
    assert full_registry
    with artifact_folders.away():
        first = sync(tenant, store)
        again = sync(tenant, store)
        unreachable = manifest(store, "churn")
        verdicts = integrity_verdicts(store)
    back = sync(tenant, store, RECONCILE)

    assert SENTENCE in notes(first)
    assert SENTENCE in notes(again)
    assert (unreachable["status"], unreachable["file_count"]) == ("unreachable", None)
    assert SENTENCE in str(unreachable["reason"])
    assert notes(back) == ""
    assert events(store) == []
    assert {manifest(store, model)["status"] for model in ("churn", "fraud", "copied")} == {"complete"}
    assert (verdicts, integrity_verdicts(store)) == ({"not read"}, {"pass"})


@pytest.mark.parametrize("other_versions", [0, 1])
def test_one_emptied_folder_is_an_event(
    registry: Registry, tenant: Tenant, store: Store, artifact_folders: ArtifactFolders, other_versions: int
) -> None:
    emptied = registry.trained_version("churn")
    for number in range(other_versions):
        registry.trained_version(f"other-{number}")
    sync(tenant, store)

    artifact_folders.empty(emptied)
    run = sync(tenant, store, REHASH)

    assert {(kind, model) for kind, model, _ in events(store)} == {("removed", "churn")}
    assert len(events(store)) == 4
    assert notes(run) == ""
    assert manifest(store, "churn")["file_count"] == 0


def test_files_that_appear_in_an_emptied_folder_are_an_event(
    registry: Registry, tenant: Tenant, store: Store, artifact_folders: ArtifactFolders
) -> None:
    emptied = registry.trained_version("churn")
    registry.trained_version("fraud")
    sync(tenant, store)
    artifact_folders.empty(emptied)
    sync(tenant, store, REHASH)

    folder = artifact_folders.of_version(emptied)
    folder.mkdir(parents=True)
    (folder / "model.pkl").write_bytes(b"of somebody else")
    sync(tenant, store, RECONCILE)

    assert ("added", "churn", "model.pkl") in events(store)


def test_the_store_of_a_tenant_with_a_single_version_accuses_nobody_either(
    registry: Registry, tenant: Tenant, store: Store, artifact_folders: ArtifactFolders
) -> None:
    registry.trained_version("churn")
    sync(tenant, store)
    before = conclusions(store)

    with artifact_folders.away():
        run = sync(tenant, store, REHASH)
    sync(tenant, store, REHASH)

    assert SENTENCE in notes(run)
    assert conclusions(store) == before


def test_a_server_that_lists_nothing_and_serves_the_files_has_lost_nothing(
    registry: Registry, tenant: Tenant, store: Store
) -> None:
    registry.trained_version("churn")
    with proxy_before(tenant.tracking_uri) as proxy:
        proxied_tenant = tenant.model_copy(update={"tracking_uri": proxy.uri})
        sync(proxied_tenant, store)
        proxy.fault = always(saying(200, "{}"), LISTING_ENDPOINTS)
        run = sync(proxied_tenant, store, REHASH)

    assert SENTENCE in notes(run)
    assert events(store) == []


@pytest.mark.parametrize("experiment", ["churn", "lone"])
def test_the_location_of_one_experiment_may_be_away(
    registry: Registry, tenant: Tenant, store: Store, artifact_folders: ArtifactFolders, experiment: str
) -> None:
    for number in range(2):
        registry.trained_version(f"churn-{number}")
    run_id = registry.run(experiment="lone", files={"model/model.pkl": b"bytes"})
    registry.version("lone", run_id=run_id, source=f"runs:/{run_id}/model")
    sync(tenant, store)
    before = conclusions(store)

    with artifact_folders.away(artifact_folders.of_experiment(experiment)):
        run = sync(tenant, store, REHASH)
    sync(tenant, store, REHASH)

    assert f"{2 if experiment == 'churn' else 1} of 3 model folders" in notes(run)
    assert conclusions(store) == before


def test_a_difference_between_the_store_before_and_after_an_outage_is_an_event(
    registry: Registry, tenant: Tenant, store: Store, artifact_folders: ArtifactFolders
) -> None:
    changed = registry.trained_version("churn")
    registry.trained_version("fraud")
    sync(tenant, store)
    with artifact_folders.away():
        sync(tenant, store, REHASH)

    binary = artifact_folders.of_version(changed) / "model.pkl"
    binary.write_bytes(bytes(reversed(binary.read_bytes())))
    sync(tenant, store, RECONCILE)

    assert events(store) == [("changed", "churn", "model.pkl")], "of the same size: hashes are not reused"


def test_folders_that_were_emptied_together_count_once_a_person_accepts_it(
    registry: Registry, tenant: Tenant, tenants_file: Path, store: Store, artifact_folders: ArtifactFolders
) -> None:
    assert tenants_file
    versions = [registry.trained_version(name) for name in ("churn", "fraud", "late-1", "late-2")]
    sync(tenant, store)
    for version in versions[:2]:
        artifact_folders.empty(version)
    held_back = sync(tenant, store, REHASH)
    for version in versions[2:]:
        artifact_folders.empty(version)

    accepted = CliRunner().invoke(
        app, ["sync", "acme", "--json", "--rehash", "--accept-removals", "ada: churn and fraud were cleaned up"]
    )

    assert f"{SENTENCE}: 2 of 4 model folders" in notes(held_back)
    assert accepted.exit_code == 0, accepted.output
    removed = {(kind, model) for kind, model, _ in events(store)}
    (acceptance,) = [row["reason"] for row in rows(store, "audit_entries") if row["kind"] == "removals accepted"]
    assert acceptance == ("2 of 2 model folders disappeared at once; accepted: ada: churn and fraud were cleaned up")
    assert removed == {("removed", "churn"), ("removed", "fraud")}, "the acceptance covers what a person could see"
    assert SENTENCE in str(json.loads(accepted.stdout)["stages"]["artifact_manifests"]["notes"])


def test_a_server_that_fails_while_accepted_folders_are_read_leaves_them_to_the_next_sync(
    registry: Registry, tenant: Tenant, store: Store, artifact_folders: ArtifactFolders
) -> None:
    versions = [registry.trained_version(name) for name in ("churn", "fraud")]
    limits = replace(tenant.limits, max_attempts=1, breaker_threshold=1)
    accepting = SyncOptions(reconcile=True, accept_removals="ada: both were cleaned up")
    with proxy_before(tenant.tracking_uri) as proxy:
        fragile_tenant = tenant.model_copy(update={"tracking_uri": proxy.uri, "limits": limits})
        sync(fragile_tenant, store)
        for version in versions:
            artifact_folders.empty(version)
        sync(fragile_tenant, store, REHASH)
        proxy.forget()
        unavailable = always(saying(503, "restarting"), LISTING_ENDPOINTS)
        # Each folder is first listed by its location and by its run. The fifth request is the first to read a folder.
        proxy.fault = lambda exchange: (
            unavailable(exchange) if len(proxy.requests_ending_with(LISTING_ENDPOINTS)) > 4 else None
        )
        failed = sync(fragile_tenant, store, accepting)
        found = events(store)
        proxy.fault = lambda _: None
        sync(fragile_tenant, store, accepting)

    assert "the artifacts of 2 versions are left to the next sync" in notes(failed)
    assert found == []
    assert {(kind, model) for kind, model, _ in events(store)} == {("removed", "churn"), ("removed", "fraud")}


def test_an_empty_folder_is_listed_by_each_reconcile_and_its_first_files_are_the_baseline(
    registry: Registry, tenant: Tenant, store: Store, artifact_folders: ArtifactFolders
) -> None:
    full = registry.trained_version("full")
    run_id = registry.run(files={"plots/loss.png": b"a plot"})
    version = registry.version("empty", run_id=run_id, source=f"{registry.client.get_run(run_id).info.artifact_uri}/m")
    with proxy_before(tenant.tracking_uri) as proxy:
        proxied_tenant = tenant.model_copy(update={"tracking_uri": proxy.uri})
        first = sync(proxied_tenant, store)
        status = manifest(store, "empty")["status"]
        proxy.forget()
        reconcile = sync(proxied_tenant, store, RECONCILE)
        listings = proxy.requests_ending_with(LISTING_ENDPOINTS)
        reads = proxy.requests_ending_with(FILE_ENDPOINTS)
    folder = artifact_folders.of_version(version)
    folder.mkdir()
    (folder / "model.pkl").write_bytes(b"uploaded late")
    sync(tenant, store)
    unread = manifest(store, "empty")
    sync(tenant, store, RECONCILE)

    assert full
    assert status == "partial"
    assert (notes(first), notes(reconcile)) == ("", "")
    assert (len(listings), len(reads)) == (1, 0)
    assert unread["status"] == "partial"
    assert manifest(store, "empty")["status"] == "complete"
    assert events(store) == []


def test_the_connection_check_reports_a_store_that_lists_nothing(
    full_registry: Registry, tenant: Tenant, artifact_folders: ArtifactFolders
) -> None:
    assert full_registry
    with artifact_folders.away():
        report = check_connection(tenant)

    (artifacts,) = [result for result in report.results if result.subject == "artifacts"]
    assert artifacts.outcome == "nothing there"
    assert "artifact store" in str(artifacts.remedy)
