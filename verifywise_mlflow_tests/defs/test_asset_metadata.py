"""Metadata of the assets: data versions, previews with inert names, and the staleness sensor."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.defs.assets.data_versions import data_version
from verifywise_mlflow.defs.metadata_table import cell
from verifywise_mlflow.defs.sensors.freshness_sensor import stale_tenants
from verifywise_mlflow.persistence.queries.stage_queries import newest_rows, newest_write
from verifywise_mlflow.persistence.repositories import tenancy
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.tenant_activation import reconcile_tenants
from verifywise_mlflow.tenants.loading import load_tenants
from verifywise_mlflow_tests.support.evaluation_fixtures import evaluate, store_record, tenant_with_policies
from verifywise_mlflow_tests.support.stored_states import NOON, day


def version_of(store: Store, stage: Stage) -> str:
    with store.begin("acme") as session:
        return data_version(newest_write(session, stage)).value


def test_the_data_version_of_a_stage_changes_only_with_its_content(store: Store) -> None:
    empty = version_of(store, Stage.CANONICAL_RECORDS)
    store_record(store, "fraud", 1, NOON, owner="ada")
    first = version_of(store, Stage.CANONICAL_RECORDS)
    second_version = version_of(store, Stage.CANONICAL_RECORDS)
    store_record(store, "fraud", 1, day(1), owner="bob")
    changed = version_of(store, Stage.CANONICAL_RECORDS)

    assert first == second_version
    assert len({empty, first, changed}) == 3


def test_verdicts_keep_their_data_version_until_a_rule_is_evaluated_again(store: Store) -> None:
    tenant = tenant_with_policies()
    store_record(store, "fraud", 1, NOON, owner="ada")
    evaluate(tenant, store, day(1))
    first = version_of(store, Stage.COMPLIANCE_RESULTS)
    evaluate(tenant, store, day(1))
    second_version = version_of(store, Stage.COMPLIANCE_RESULTS)
    store_record(store, "fraud", 1, day(2), owner="bob")
    evaluate(tenant, store, day(3))

    assert first == second_version
    assert version_of(store, Stage.COMPLIANCE_RESULTS) != first


def test_the_preview_shows_the_newest_rows_of_the_tenant_first(store: Store) -> None:
    for model in ("first", "second", "third"):
        store_record(store, model, 1, NOON, owner="ada")
    with store.begin("acme") as session:
        preview = newest_rows(session, Stage.CANONICAL_RECORDS, 2)
    with store.begin("globex") as session:
        all_previews = [newest_rows(session, stage, 2) for stage in Stage]
    assert [row["model_name"] for row in preview] == ["third", "second"]
    assert all_previews == [[]] * len(Stage)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("<b>\x1b[31m\u202eevil\n</b>", "<b>\\x1b[31m\\u202eevil\\n</b>"),
        ("x" * 121, "x" * 120 + "…"),
        ({"a": ["\u200b"]}, '{"a": ["\\u200b"]}'),
        (NOON, f"{NOON:%Y-%m-%d %H:%M:%S}"),
        (True, True),
        (None, None),
    ],
)
def test_a_cell_is_escaped_and_cut(value: object, expected: object) -> None:
    assert cell(value) == expected


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def test_a_stale_tenant_is_reported_once_with_its_stages_and_the_outcome_of_its_last_sync(
    store: Store, database_url: str, instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "tenants.yaml"
    path.write_text(
        "tenants:\n  acme: {tracking_uri: 'https://a.example'}\n"
        "  globex: {tracking_uri: 'https://b.example'}\n  new: {tracking_uri: 'https://c.example'}\n"
    )
    monkeypatch.setenv("VERIFYWISE_TENANTS", str(path))
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", database_url)
    instance.add_dynamic_partitions("tenants", ["acme", "globex", "new"])
    now = datetime.now(UTC)

    def complete(tenant_id: str, ago: timedelta, *stages: Stage) -> None:
        with store.begin(tenant_id) as session:
            for stage in stages:
                tenancy.record_refresh(session, stage, "a-sync", now - ago, reconciled=True)

    reconcile_tenants(store, load_tenants(), now)
    for tenant_id in ("acme", "globex"):
        complete(tenant_id, timedelta(hours=1), *Stage)
    complete("acme", timedelta(hours=3), Stage.COMPLIANCE_RESULTS)

    first = tick(instance, None)
    second = tick(instance, first.cursor)
    complete("acme", timedelta(0), Stage.CANONICAL_RECORDS)  # a sync that passed the check and failed after it
    third = tick(instance, second.cursor)
    complete("acme", timedelta(0), Stage.COMPLIANCE_RESULTS)
    fourth = tick(instance, third.cursor)

    for result in (first, third):
        (event,) = result.asset_events
        assert isinstance(event, dg.AssetCheckEvaluation)
        assert (event.partition, event.check_name, event.passed) == ("acme", "fresh", False)
        assert event.description == (
            f"stale stages: compliance_results (last completed {now - timedelta(hours=3):%Y-%m-%d %H:%M} UTC). "
            "`No sync has ended yet`"
        )
    assert list(second.asset_events) == []
    (event,) = fourth.asset_events
    assert isinstance(event, dg.AssetCheckEvaluation)
    assert (event.partition, event.check_name, event.passed) == ("acme", "fresh", True), (
        "no other event would pass the check"
    )
    assert fourth.cursor == "{}"
    assert list(tick(instance, fourth.cursor).asset_events) == []
    assert list(tick(instance, '["of", "another release"]').asset_events) == []


def tick(instance: dg.DagsterInstance, cursor: str | None) -> dg.SensorResult:
    result = stale_tenants(dg.build_sensor_context(instance=instance, cursor=cursor))
    assert isinstance(result, dg.SensorResult)
    return result
