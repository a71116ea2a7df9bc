"""The main job: a registry becomes records with verdicts, and a second sync finds nothing to do."""

from __future__ import annotations

import hashlib
import math
from datetime import UTC, datetime

import pytest
from mlflow.entities import Dataset

from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.http.errors import HttpError
from verifywise_mlflow.normalizer.mapping.tag_mapping import TagMapping
from verifywise_mlflow.persistence.pg_text_codec import unescape
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.context import SyncOptions
from verifywise_mlflow.pipeline.stages import training_runs
from verifywise_mlflow.pipeline.sync import Sync
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.support.registry import MODEL_FILES, Registry
from verifywise_mlflow_tests.support.syncing import record, requests, rows, sync

STRANGE_NAMES = [
    "it's",
    'say "model"',
    'it\'s "both"',
    "100% sure; DROP TABLE",
    "back\\slash",
    "tabs\tand\nlines",
    " leading blank",
    "Überprüfung 信用 🦊",
    "a?b#c&d=e",
    "␀ ␛ signs",
    "x" * 250,
]


def test_a_record_holds_the_data_that_mlflow_shows(registry: Registry, tenant: Tenant, store: Store) -> None:
    dataset = Dataset(name="customers", digest="abc123", source_type="s3", source='{"uri": "s3://data/customers"}')
    run_id = registry.run(
        experiment="churn 2026",
        metrics={"accuracy": 0.93, "auc": 0.5},
        params={"depth": "7"},
        tags={
            "mlflow.user": "ada",
            "mlflow.source.git.commit": "c0ffee",
            "mlflow.source.name": "train.py",
            "mlflow.source.type": "LOCAL",
        },
        datasets=[dataset],
    )
    version = registry.version(
        "churn",
        run_id=run_id,
        source=f"runs:/{run_id}/model",
        description="Who leaves?",
        tags={
            "Owner": "risk-team",
            "model-purpose": "retention offers",
            "risk_category": "High-Risk",
            "data_sensitivity": "PII",
            "privacy_assessment": "DPIA done 2026-03-01",
            "approver": "grace",
            "eval_auc": "0.5",
        },
    )
    registry.client.set_registered_model_alias("churn", "champion", version.version)
    run_info = registry.client.get_run(run_id).info

    sync(tenant, store)

    stored = record(store, "churn")
    assert stored["description"] == "Who leaves?"
    assert stored["owner"] == "risk-team"
    assert stored["business_purpose"] == "retention offers"
    assert stored["lifecycle_stage"] == "production"
    assert stored["created_at"] == _time(version.creation_timestamp)
    assert stored["last_updated_at"] == _time(version.last_updated_timestamp)
    assert (stored["source_run_id"], stored["source_artifact_uri"]) == (run_id, f"runs:/{run_id}/model")
    assert stored["training_status"] == "FINISHED"
    assert stored["training_started_at"] == _time(run_info.start_time)
    assert stored["training_ended_at"] == _time(run_info.end_time)
    assert stored["metrics"] == {"accuracy": 0.93, "auc": 0.5}
    assert stored["hyperparameters"] == {"depth": "7"}
    assert stored["evaluation_tags"] == {"eval_auc": "0.5"}
    assert (stored["experiment_id"], stored["experiment_name"]) == (run_info.experiment_id, "churn 2026")
    assert (stored["code_commit"], stored["training_entrypoint"]) == ("c0ffee", "train.py")
    assert stored["dataset_reference"] == [
        {
            "name": "customers",
            "digest": "abc123",
            "source_type": "s3",
            "source": '{"uri": "s3://data/customers"}',
            "context": "training",
        }
    ]
    assert stored["artifact_uri"] == run_info.artifact_uri
    assert (stored["risk_category"], stored["data_sensitivity"]) == ("high", "personal")
    assert (stored["privacy_assessment_status"], stored["compliance_approver"]) == ("completed", "grace")
    assert stored["regulatory_scope"] is None
    assert stored["origins"]["owner"] == {"source": "version tag", "key": "Owner", "raw": "risk-team"}  # type: ignore[index]
    assert stored["origins"]["lifecycle_stage"] == {"source": "alias", "key": "champion", "raw": "champion"}  # type: ignore[index]


@pytest.mark.parametrize("name", STRANGE_NAMES)
def test_a_model_of_any_name_gets_its_record(name: str, registry: Registry, tenant: Tenant, store: Store) -> None:
    run_id = registry.run(tags={"note": name})
    registry.version(name, run_id=run_id, tags={"owner": name})
    registry.client.set_registered_model_alias(name, "champion", "1")

    sync(tenant, store)

    (stored,) = rows(store, "canonical_records")
    assert unescape(str(stored["model_name"])) == name
    assert unescape(str(stored["owner"])) == name.strip()
    assert stored["lifecycle_stage"] == "production"
    assert stored["source_run_id"] == run_id


def test_values_that_postgres_rejects_survive(registry: Registry, tenant: Tenant, store: Store) -> None:
    long = "x" * 100_000
    metrics = {"nan": math.nan, "inf": math.inf, "minus": -math.inf, "zero": 0.0}
    run_id = registry.run(metrics=metrics, params={"nul": "a\x00b"})
    registry.version("odd", run_id=run_id, tags={"owner": "null\x00owner", "eval_long": long})

    sync(tenant, store)

    stored = record(store, "odd")
    assert unescape(str(stored["owner"])) == "null\x00owner"
    assert stored["evaluation_tags"] == {"eval_long": long}
    assert unescape(stored["hyperparameters"]["nul"]) == "a\x00b"  # type: ignore[index]
    # MLflow returns an infinity as this number; NaN has none in JSON.
    assert stored["metrics"]["nan"] == "NaN"  # type: ignore[index]
    assert stored["metrics"]["inf"] == 1.7976931348623157e308  # type: ignore[index]
    assert stored["metrics"]["minus"] == -1.7976931348623157e308  # type: ignore[index]
    assert stored["metrics"]["zero"] == 0  # type: ignore[index]


def test_every_version_gets_a_record_despite_its_problems(registry: Registry, tenant: Tenant, store: Store) -> None:
    registry.trained_version("whole")
    registry.version("runless")
    deleted = registry.trained_version("run deleted")
    registry.client.delete_run(str(deleted.run_id))
    registry.version("run never was", run_id="f" * 32)
    in_deleted_experiment = registry.run(experiment="thrown away", metrics={"auc": 0.7})
    registry.version("experiment deleted", run_id=in_deleted_experiment)
    registry.client.delete_experiment(registry.client.get_run(in_deleted_experiment).info.experiment_id)

    sync(tenant, store)

    stored = {row["model_name"]: row for row in rows(store, "canonical_records")}
    assert set(stored) == {"whole", "runless", "run deleted", "run never was", "experiment deleted"}
    assert stored["whole"]["incomplete"] == []
    assert stored["runless"]["metrics"] is None
    assert stored["run deleted"]["metrics"] == {"accuracy": 0.93}
    assert "deleted run" in str(stored["run deleted"]["findings"])
    assert "does not exist" in str(stored["run never was"]["incomplete"])
    assert stored["experiment deleted"]["metrics"] == {"auc": 0.7}
    assert stored["experiment deleted"]["experiment_name"] == "thrown away"


def test_a_manifest_holds_the_hash_of_each_file(registry: Registry, tenant: Tenant, store: Store) -> None:
    files = {f"model/{name}": content for name, content in MODEL_FILES.items()} | {
        "evaluation/report.json": b"{}",
        "empty.txt": b"",
    }
    run_id = registry.run(files=files)
    registry.version("churn", run_id=run_id, source=f"runs:/{run_id}/model")

    sync(tenant, store)

    stored = record(store, "churn")
    listed = {
        (file["root"], file["path"]): (file["size"], file["sha256"])
        for file in stored["artifact_manifest"]["files"]  # type: ignore[index]
    }
    expected = {("model", name): content for name, content in MODEL_FILES.items()} | {
        ("run", "evaluation/report.json"): b"{}",
        ("run", "empty.txt"): b"",
    }
    assert listed == {path: (len(content), hashlib.sha256(content).hexdigest()) for path, content in expected.items()}
    assert stored["runtime_environment"]["python_version"] == "3.11.7"  # type: ignore[index]
    assert stored["runtime_environment"]["reproducible"] is True  # type: ignore[index]
    assert [file["path"] for file in stored["evidence_files"]] == ["evaluation/report.json"]  # type: ignore[attr-defined]


def test_a_second_sync_writes_nothing_but_its_two_audit_entries(
    registry: Registry, tenant: Tenant, store: Store
) -> None:
    registry.trained_version("churn")
    registry.version("run never was", run_id="f" * 32)
    sync(tenant, store)
    # xmin is the transaction that wrote a row last: any write changes it, even without a difference.
    written = {Stage.COMPLIANCE_RESULTS.value: "version_verdicts"}  # compliance_results is a view
    tables = [written.get(stage, stage.value) for stage in Stage]
    tables += ["logged_models", "record_inputs", "compliance_badges", "tenants"]
    before = {table: rows(store, f"{table} AS t, LATERAL (SELECT t.xmin AS written) AS x") for table in tables}
    entries = len(rows(store, "audit_entries"))

    second = sync(tenant, store)

    after = {table: rows(store, f"{table} AS t, LATERAL (SELECT t.xmin AS written) AS x") for table in tables}
    assert after == before
    assert len(rows(store, "audit_entries")) == entries + 2
    assert requests(second) <= 8
    (confirmed, _) = rows(store, "record_confirmations")
    assert confirmed["version_confirmed_at"] > confirmed["changed_at"]  # type: ignore[operator]


def test_a_run_without_a_user_gives_no_owner(registry: Registry, tenant: Tenant, store: Store) -> None:
    run_id = registry.run()
    registry.version("churn", run_id=run_id)
    assert registry.client.get_run(run_id).info.user_id == "unknown"  # what MLflow's client writes

    sync(tenant, store)

    assert record(store, "churn")["owner"] is None


def test_more_missing_runs_than_a_sync_requests_are_left_to_the_next_ones(
    registry: Registry, tenant: Tenant, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_runs, "MAX_SINGLE_READS", 2)
    for number in range(5):
        registry.version("churn", run_id=f"{number:032x}")

    def confirmed_missing() -> int:
        return sum("does not exist" in str(row["read_error"]) for row in rows(store, "training_runs"))

    counts = []
    for _ in range(4):
        sync(tenant, store, SyncOptions(reconcile=True))
        counts.append(confirmed_missing())

    assert counts == [2, 4, 5, 5]


def test_changes_that_update_no_timestamp_are_detected(registry: Registry, tenant: Tenant, store: Store) -> None:
    first = registry.trained_version("churn")
    registry.trained_version("churn")
    client = registry.client
    client.set_registered_model_alias("churn", "champion", "1")
    sync(tenant, store)

    client.set_registered_model_alias("churn", "champion", "2")
    client.set_model_version_tag("churn", "1", "risk_category", "limited")
    client.set_tag(str(first.run_id), "owner", "late")
    client.log_metric(str(first.run_id), "late_metric", 1.0)
    sync(tenant, store)

    old, new = record(store, "churn", 1), record(store, "churn", 2)
    assert (old["lifecycle_stage"], new["lifecycle_stage"]) == (None, "production")
    assert (old["risk_category"], old["owner"]) == ("limited", "late")
    assert old["metrics"] == {"accuracy": 0.93, "late_metric": 1.0}


def test_a_deleted_version_gets_a_tombstone_and_keeps_its_record(
    registry: Registry, tenant: Tenant, store: Store
) -> None:
    registry.trained_version("churn")
    registry.trained_version("churn")
    sync(tenant, store)
    before = record(store, "churn", 1)

    registry.client.delete_model_version("churn", "1")
    second = sync(tenant, store)

    deleted = record(store, "churn", 1)
    assert second.reports[1].progress.removed == 1
    assert deleted["deleted_at"] is not None
    assert deleted["metrics"] == before["metrics"]
    assert record(store, "churn", 2)["deleted_at"] is None


def test_a_restored_model_loses_its_tombstone(registry: Registry, tenant: Tenant, store: Store) -> None:
    registry.version("churn", tags={"owner": "first"})
    sync(tenant, store)
    registry.client.delete_registered_model("churn")
    sync(tenant, store)
    assert record(store, "churn")["deleted_at"] is not None

    registry.version("churn", tags={"owner": "second"})
    sync(tenant, store)

    back = record(store, "churn")
    assert (back["deleted_at"], back["owner"]) == (None, "second")


def test_a_large_loss_is_held_back_in_a_sync(registry: Registry, tenant: Tenant, store: Store) -> None:
    for _ in range(25):
        registry.version("churn")
    sync(tenant, store)

    registry.client.delete_registered_model("churn")
    registry.client.create_registered_model("churn")
    second = sync(tenant, store)

    assert "held back" in " ".join(note.text for note in second.reports[1].progress.notes)
    assert all(row["deleted_at"] is None for row in rows(store, "canonical_records"))


def test_a_new_tenant_mapping_rebuilds_the_records_without_reading_mlflow(
    registry: Registry, tenant: Tenant, store: Store
) -> None:
    registry.version("churn", tags={"zuständig": "ada"})
    sync(tenant, store)
    assert record(store, "churn")["owner"] is None

    mapping = TagMapping(synonyms={"owner": ("zuständig",)})
    offline = tenant.model_copy(update={"mapping": mapping, "tracking_uri": "http://127.0.0.1:9"})
    with Sync(offline, store) as run:
        run.run(Stage.CANONICAL_RECORDS)
        run.run(Stage.COMPLIANCE_RESULTS)

    assert requests(run) == 0
    assert record(store, "churn")["owner"] == "ada"
    verdicts = {row["rule_id"]: row["verdict"] for row in rows(store, "compliance_results", "rule_id")}
    assert verdicts["owner"] == "pass"


def test_manifests_can_be_switched_off(registry: Registry, tenant: Tenant, store: Store) -> None:
    registry.trained_version("churn")
    artifacts = tenant.artifacts.model_copy(update={"manifests": False})

    run = sync(tenant.model_copy(update={"artifacts": artifacts}), store)

    assert run.reports[3].requests == 0
    assert "switched off" in run.reports[3].progress.notes[0].text
    assert record(store, "churn")["artifact_manifest"] is None


def test_without_hashing_only_environment_files_are_read(registry: Registry, tenant: Tenant, store: Store) -> None:
    registry.trained_version("churn")
    artifacts = tenant.artifacts.model_copy(update={"hash": False})

    sync(tenant.model_copy(update={"artifacts": artifacts}), store)

    stored = record(store, "churn")
    hashed = {file["path"]: file["sha256"] is not None for file in stored["artifact_manifest"]["files"]}  # type: ignore[index]
    assert hashed == {"MLmodel": True, "model.pkl": False, "python_env.yaml": True, "requirements.txt": True}
    assert stored["runtime_environment"]["reproducible"] is True  # type: ignore[index]


def test_a_file_over_the_tenants_limit_is_listed_and_not_read(registry: Registry, tenant: Tenant, store: Store) -> None:
    run_id = registry.run(files={"model/MLmodel": b"flavors: {}", "model/weights.bin": b"x" * 5_000})
    registry.version("churn", run_id=run_id, source=f"runs:/{run_id}/model")
    artifacts = tenant.artifacts.model_copy(update={"max_file_bytes": 1_000})

    sync(tenant.model_copy(update={"artifacts": artifacts}), store)

    stored = record(store, "churn")
    (weights,) = (file for file in stored["artifact_manifest"]["files"] if file["path"] == "weights.bin")  # type: ignore[index]
    assert (weights["size"], weights["sha256"]) == (5_000, None)
    assert "over the limit" in weights["note"]
    assert stored["artifact_manifest"]["status"] == "partial"  # type: ignore[index]


def test_a_server_that_is_down_leaves_the_records_and_one_entry(
    registry: Registry, tenant: Tenant, store: Store
) -> None:
    registry.trained_version("churn")
    sync(tenant, store)
    before = rows(store, "canonical_records")

    unreachable_tenant = tenant.model_copy(update={"tracking_uri": "http://127.0.0.1:9"})
    with pytest.raises(HttpError, match=r"127\.0\.0\.1"):
        sync(unreachable_tenant, store)

    assert rows(store, "canonical_records") == before
    entry = rows(store, "audit_entries", "sequence DESC")[0]
    assert (entry["kind"], entry["outcome"], entry["source_uri"]) == ("sync ended", "failed", "http://127.0.0.1:9")
    assert "registered_models" in str(entry["reason"])


def test_an_unreadable_object_is_reported_once(registry: Registry, tenant: Tenant, store: Store) -> None:
    registry.version("run never was", run_id="f" * 32)

    sync(tenant, store)
    sync(tenant, store)

    entries = [row for row in rows(store, "audit_entries") if row["object_kind"] == "training run"]
    assert [(entry["object_name"], entry["outcome"]) for entry in entries] == [("f" * 32, "incomplete")]
    ends = [entry for entry in rows(store, "audit_entries") if entry["kind"] == "sync ended"]
    for end in ends:  # although the second sync had nothing to read again
        assert "incomplete records of living versions: 1" in str(end["reason"])
        assert end["counts"]["incomplete_records"] == 1  # type: ignore[index]  # a JSON object


def _time(milliseconds: int | None) -> datetime:
    assert milliseconds is not None
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
