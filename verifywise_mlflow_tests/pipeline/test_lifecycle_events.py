"""Each change of a model or version on a real MLflow server is recorded once, with MLflow's own values."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from mlflow import MlflowClient
from typer.testing import CliRunner

from verifywise_mlflow.cli import app
from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.persistence.database import DatabaseError
from verifywise_mlflow.persistence.queries.dataframes import lifecycle_events
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.sync import Sync
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.support.registry import Registry
from verifywise_mlflow_tests.support.syncing import record, rows, sync

NAME = "O'Brien's \"best\" [bold]; DROP TABLE -- ✓"


def listed(tenant: Tenant, store: Store) -> str:
    """Sync the two stages that see events; return the sync's id."""
    with Sync(tenant, store) as run:
        run.run(Stage.REGISTERED_MODELS)
        run.run(Stage.MODEL_VERSIONS)
    return run.sync_id


def recorded_events(store: Store, sync_id: str) -> list[tuple[object, ...]]:
    """Return the lifecycle events of a sync, without times."""
    return [
        (row["model_name"], row["version_number"], row["kind"], row["alias"], row["previous"], row["value"])
        for row in rows(store, "lifecycle_events", "event_id")
        if row["sync_id"] == sync_id
    ]


def entries(store: Store, sync_id: str) -> int:
    return sum(row["kind"] == "lifecycle event" and row["sync_id"] == sync_id for row in rows(store, "audit_entries"))


def happened_at(store: Store, sync_id: str, kind: str, number: int | None = None) -> object:
    (time,) = [
        row["happened_at"]
        for row in rows(store, "lifecycle_events", "event_id")
        if (row["sync_id"], row["kind"], row["version_number"]) == (sync_id, kind, number)
    ]
    return time


def time_of(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).replace(microsecond=milliseconds % 1000 * 1000)


def test_each_change_between_two_syncs_is_recorded_once(registry: Registry, tenant: Tenant, store: Store) -> None:
    client = registry.client
    created = registry.version(NAME)
    registry.version(NAME)
    client.transition_model_version_stage(NAME, "1", "Production")
    client.set_registered_model_alias(NAME, "champion", "1")
    first = listed(tenant, store)
    assert recorded_events(store, first) == [
        (NAME, None, "first seen", None, None, None),
        (NAME, 1, "alias", "champion", None, "1"),
        (NAME, 1, "first seen", None, None, None),
        (NAME, 1, "stage", None, None, "Production"),
        (NAME, 2, "first seen", None, None, None),
    ]
    assert happened_at(store, first, "first seen", 1) == time_of(created.creation_timestamp)
    assert happened_at(store, first, "stage", 1) is None  # the description may have changed the time

    client.transition_model_version_stage(NAME, "1", "Archived")
    client.transition_model_version_stage(NAME, "2", "Staging")
    promoted = client.transition_model_version_stage(NAME, "2", "Production")
    client.update_model_version(NAME, "1", "retired")
    client.set_registered_model_alias(NAME, "champion", "2")
    client.set_model_version_tag(NAME, "2", "owner", "ada")
    second = listed(tenant, store)
    assert recorded_events(store, second) == [
        (NAME, 2, "alias", "champion", "1", "2"),
        (NAME, 1, "stage", None, "Production", "Archived"),
        (NAME, 2, "stage", None, None, "Production"),
    ]
    assert happened_at(store, second, "stage", 1) is None
    assert happened_at(store, second, "stage", 2) == time_of(promoted.last_updated_timestamp)

    client.delete_registered_model_alias(NAME, "champion")
    client.delete_model_version(NAME, "1")
    third, fourth = listed(tenant, store), listed(tenant, store)
    assert recorded_events(store, third) == [
        (NAME, 2, "alias", "champion", "2", None),
        (NAME, 1, "disappeared", None, None, None),
    ]
    assert recorded_events(store, fourth) == []
    assert [entries(store, sync_id) for sync_id in (first, second, third, fourth)] == [5, 3, 2, 0]
    frame = lifecycle_events(store, "acme", NAME, 1)
    assert list(frame["kind"]) == ["alias", "first seen", "stage", "alias", "stage", "disappeared"]


def test_a_model_renamed_there_and_back_disappears_and_reappears(
    registry: Registry, tenant: Tenant, store: Store
) -> None:
    created = registry.version("churn")
    registry.client.set_registered_model_alias("churn", "champion", "1")
    listed(tenant, store)

    registry.client.rename_registered_model("churn", "attrition")
    renamed_models = listed(tenant, store)
    registry.client.rename_registered_model("attrition", "churn")
    back = listed(tenant, store)

    assert recorded_events(store, renamed_models) == [
        ("attrition", None, "first seen", None, None, None),
        ("attrition", 1, "alias", "champion", None, "1"),
        ("churn", None, "disappeared", None, None, None),
        ("churn", 1, "disappeared", None, None, None),
        ("attrition", 1, "first seen", None, None, None),
    ]
    assert happened_at(store, renamed_models, "first seen", 1) == time_of(created.creation_timestamp)
    assert recorded_events(store, back) == [
        ("churn", None, "reappeared", None, None, None),
        ("attrition", None, "disappeared", None, None, None),
        ("attrition", 1, "disappeared", None, None, None),
        ("churn", 1, "reappeared", None, None, None),
    ]


def test_a_recreated_model_starts_from_none(registry: Registry, tenant: Tenant, store: Store) -> None:
    former = registry.version("churn")
    registry.client.transition_model_version_stage("churn", "1", "Production")
    listed(tenant, store)

    registry.client.delete_registered_model("churn")
    recreated_version = registry.version("churn")
    registry.client.transition_model_version_stage("churn", "1", "Production")
    sync_id = listed(tenant, store)

    times = [time_of(version.creation_timestamp) for version in (former, recreated_version)]
    assert recorded_events(store, sync_id)[1:] == [
        ("churn", 1, "recreated", None, *(time.isoformat() for time in times)),
        ("churn", 1, "stage", None, None, "Production"),
    ]
    assert recorded_events(store, sync_id)[0][:3] == ("churn", None, "recreated")
    assert happened_at(store, sync_id, "recreated", 1) == times[1]


def test_a_row_and_its_event_are_committed_together_or_not_at_all(
    registry: Registry, tenant: Tenant, store: Store
) -> None:
    registry.version("churn")
    with store.begin_shared() as connection:
        connection.exec_driver_sql("""
            CREATE FUNCTION verifywise_mlflow.no_room() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'no room' USING ERRCODE = 'disk_full'; END $$;
            CREATE TRIGGER no_room BEFORE INSERT ON verifywise_mlflow.audit_trail
            FOR EACH ROW WHEN (NEW.entry LIKE '%%"lifecycle event"%%') EXECUTE FUNCTION verifywise_mlflow.no_room()
        """)
    with pytest.raises(DatabaseError):
        listed(tenant, store)
    assert (rows(store, "registered_models"), rows(store, "lifecycle_events")) == ([], [])

    with store.begin_shared() as connection:
        connection.exec_driver_sql("DROP TRIGGER no_room ON verifywise_mlflow.audit_trail")
    sync_id = listed(tenant, store)

    assert [event[:3] for event in recorded_events(store, sync_id)] == [
        ("churn", None, "first seen"),
        ("churn", 1, "first seen"),
    ]
    assert entries(store, sync_id) == len(rows(store, "lifecycle_events")) == 2


def test_a_large_loss_is_held_back_by_every_sync_until_a_person_accepts_it(
    registry: Registry, tenant: Tenant, tenants_file: Path, store: Store
) -> None:
    for number in range(25):
        registry.version("churn", tags={"owner": "ada"} if number == 0 else None)
    registry.version("fraud")
    sync(tenant, store)
    before = record(store, "churn")
    MlflowClient().delete_registered_model("churn")

    held_back = [sync(tenant, store), sync(tenant, store)]
    end_reasons = [row["reason"] for row in rows(store, "audit_entries", "sequence") if row["kind"] == "sync ended"]
    churn = record(store, "churn")
    accepted = CliRunner().invoke(app, ["sync", "acme", "--json", "--accept-removals", "ada: churn is retired"])
    events = CliRunner().invoke(app, ["events", "acme", "churn", "1", "--kind", "disappeared", "--json"])

    for run, reason in zip(held_back, end_reasons[1:], strict=True):
        assert [report.progress.removed for report in run.reports[:2]] == [0, 0]
        assert "25 of 26 model versions disappeared at once: the removal is held back" in str(reason)
    assert churn["deleted_at"] is None
    assert accepted.exit_code == 0, accepted.output
    after = record(store, "churn")
    assert after["deleted_at"] is not None
    assert (after["owner"], after["origins"]) == ("ada", before["origins"])
    assert record(store, "fraud")["deleted_at"] is None
    (state,) = (
        row
        for row in rows(store, "canonical_record_history")
        if (row["model_name"], row["version_number"]) == ("churn", 1)
    )
    assert (state["deleted_at"], state["owner"]) == (None, "ada")
    assert sum(row["model_name"] == "churn" for row in rows(store, "compliance_badges")) == 25
    assert any(row["model_name"] == "churn" for row in rows(store, "compliance_results"))
    (acceptance,) = [row["reason"] for row in rows(store, "audit_entries") if row["kind"] == "removals accepted"]
    assert str(acceptance).endswith("25 of 26 model versions disappeared at once; accepted: ada: churn is retired")
    (event,) = json.loads(events.stdout)["events"]
    assert (event["version_number"], event["value"], event["happened_at"]) == (1, None, None)
