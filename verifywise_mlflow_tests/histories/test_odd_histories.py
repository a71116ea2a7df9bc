"""Histories that a registry rarely has. All conclusions of each sync are also compared with the truth."""

from __future__ import annotations

from collections.abc import Callable

from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.context import SyncOptions
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.histories.truth import Key
from verifywise_mlflow_tests.histories.twin_registry import TwinRegistry
from verifywise_mlflow_tests.support.syncing import record, rows, sync

CAFE, CAFE_DECOMPOSED = "caf\u00e9", "cafe\u0301"


def finding_kinds(store: Store, model: str, version: int = 1) -> list[str]:
    findings = record(store, model, version)["findings"]
    assert isinstance(findings, list)
    return [finding["kind"] for finding in findings]


def identity_events(store: Store, kind: str) -> set[Key]:
    return {
        (str(row["model_name"]), int(str(row["version_number"])))
        for row in rows(store, "lifecycle_events")
        if row["kind"] == kind and row["version_number"] is not None
    }


def test_a_name_says_nothing_about_which_object_has_it(
    twin: TwinRegistry, compared_sync: Callable[..., None], store: Store
) -> None:
    for name in ("left", "right", "moved", "retired", "heir", "Case", "case", CAFE, CAFE_DECOMPOSED, "renumbered"):
        twin.register(name, "run")
    twin.register("renumbered", "run")
    twin.register("by path", "logged model path")
    twin.set_alias(("left", 1), "champion")
    compared_sync()
    twin.delete_model("retired")
    compared_sync()

    twin.rename("left", "between")
    twin.rename("right", "left")
    twin.rename("between", "right")
    twin.rename("moved", "moved on")
    twin.register("moved", "logged model")
    twin.rename("heir", "retired")
    twin.rename("by path", "renamed by path")
    twin.delete_model("Case")
    twin.delete_model(CAFE_DECOMPOSED)
    twin.delete_version(("renumbered", 2))
    assert twin.register("renumbered", "run") == ("renumbered", 3)
    compared_sync(rehash=True)

    successors = {("left", 1), ("right", 1), ("moved", 1), ("retired", 1)}
    assert identity_events(store, "recreated") == successors
    assert all("deleted or renamed" in str(record(store, *key)["findings"]) for key in successors)
    assert record(store, "right")["lifecycle_stage"] == "production", "an alias follows its model"
    assert finding_kinds(store, "renamed by path") == [], "the logged model's tag has the former name"
    assert rows(store, "integrity_events") == []


def test_a_rename_hides_no_change_of_bytes(
    twin: TwinRegistry, compared_sync: Callable[..., None], store: Store
) -> None:
    for name in ("before", "meanwhile"):
        twin.register(name, "run")
    before, meanwhile = (twin.versions()[name, 1].folder for name in ("before", "meanwhile"))
    assert before
    assert meanwhile
    compared_sync(rehash=True)
    twin.write_file(before, "weights.bin", twin.new_content())
    compared_sync(rehash=True)

    twin.rename("before", "renamed before")
    twin.rename("meanwhile", "renamed meanwhile")
    twin.write_file(meanwhile, "weights.bin", twin.new_content())
    compared_sync(rehash=True)
    twin.rename("renamed meanwhile", "meanwhile")
    compared_sync(rehash=True)

    for name in ("renamed before", "meanwhile"):
        assert finding_kinds(store, name) == ["changed in place"], name
    assert len(rows(store, "integrity_events")) == 2


def test_a_version_of_a_new_model_has_the_files_that_it_has_and_not_those_of_its_predecessor(
    twin: TwinRegistry, compared_sync: Callable[..., None], store: Store
) -> None:
    key = twin.register("churn", "run")
    compared_sync(rehash=True)
    former = twin.versions()[key]
    assert former.folder
    twin.delete_model("churn")
    twin.write_file(former.folder, "weights.bin", twin.new_content(30))

    twin.register_again("churn", former)
    compared_sync()

    manifest = record(store, "churn")["artifact_manifest"]
    assert isinstance(manifest, dict)
    assert [file["size"] for file in manifest["files"]] == [30]
    assert rows(store, "integrity_events") == []


def test_files_that_arrive_while_a_registration_is_pending_accuse_nobody(
    twin: TwinRegistry, tenant: Tenant, store: Store
) -> None:
    key = twin.register("churn", "run")
    twin.set_status(key, "PENDING_REGISTRATION")
    sync(tenant, store)
    assert finding_kinds(store, "churn") == ["not ready"]
    assert (record(store, "churn")["artifact_manifest"], record(store, "churn")["incomplete"] != []) == (None, True)

    folder = twin.versions()[key].folder
    assert folder
    twin.write_file(folder, "late.bin", twin.new_content())
    twin.set_status(key, "READY")
    for _ in range(2):
        sync(tenant, store, SyncOptions(rehash=True))

    manifest = record(store, "churn")["artifact_manifest"]
    assert isinstance(manifest, dict)
    assert [file["path"] for file in manifest["files"]] == ["late.bin", "weights.bin"]
    assert finding_kinds(store, "churn") == []


def test_an_alias_and_a_copy_of_what_was_deleted_before_the_sync(
    twin: TwinRegistry, compared_sync: Callable[..., None], store: Store
) -> None:
    twin.register("churn", "run")
    twin.register("churn", "run")
    twin.set_alias(("churn", 1), "champion")
    twin.register("fraud", "logged model path")
    twin.copy(("fraud", 1), "staging", with_run=True)
    compared_sync()

    twin.set_alias(("churn", 2), "champion")
    twin.delete_version(("churn", 2), leave_aliases=True)
    twin.copy(("staging", 1), "known", with_run=False)
    twin.copy(("fraud", 1), "never seen", with_run=False)
    twin.copy(("never seen", 1), "unknown", with_run=False)
    for name in ("staging", "fraud", "never seen"):
        twin.delete_model(name)
    compared_sync()

    assert finding_kinds(store, "churn") == ["dangling alias"]
    assert finding_kinds(store, "churn", 2) == []
    assert record(store, "known")["owner"] == "ada 2"
    assert finding_kinds(store, "unknown") == ["uncertain origin"]


def test_what_a_run_said_stays_when_mlflow_deletes_or_purges_it(
    twin: TwinRegistry, compared_sync: Callable[..., None], tenant: Tenant, store: Store
) -> None:
    purged = twin.register("a", "run")
    twin.register("b", "logged model")
    twin.register("c", "run")
    compared_sync()
    before = {name: record(store, name) for name in "abc"}

    twin.delete_experiment()
    compared_sync(reconcile=True)
    assert finding_kinds(store, "c") == ["deleted run"]
    twin.restore_experiment()
    compared_sync(reconcile=True)
    assert {name: record(store, name)["findings"] for name in "abc"} == {name: [] for name in "abc"}

    twin.purge_run(purged)
    twin.delete_logged_models()
    for _ in range(2):
        sync(tenant, store, SyncOptions(reconcile=True, rehash=True))
        for name in "ab":
            after = record(store, name)
            for field in ("owner", "source_run_id", "experiment_name", "training_ended_at", "evidence_files"):
                assert after[field] == before[name][field], (name, field)
            assert "does not exist on the server" in str(after["incomplete"])
            assert after["deleted_at"] is None
    assert rows(store, "integrity_events") == []
