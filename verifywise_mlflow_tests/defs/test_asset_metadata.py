"""What stands beside the assets: data versions that stand still, names that do nothing, tenants that are behind."""

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
from verifywise_mlflow.persistence.queries.stage_contents import newest_rows, stage_state
from verifywise_mlflow.persistence.repositories import tenancy
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.tenant_activation import reconcile_tenants
from verifywise_mlflow.tenants.loading import load_tenants
from verifywise_mlflow_tests.persistence.kept_states import NOON, day
from verifywise_mlflow_tests.pipeline.evaluation_fixtures import described, judge, keep


def version_of(store: Store, stage: Stage) -> str:
    with store.begin("acme") as session:
        return data_version(stage_state(session, stage)).value


def test_a_stage_has_another_data_version_where_something_changed_and_no_other_tenant_moves_it(store: Store) -> None:
    empty = version_of(store, Stage.CANONICAL_RECORDS)
    keep(store, "fraud", 1, NOON, owner="ada")
    first = version_of(store, Stage.CANONICAL_RECORDS)
    again = version_of(store, Stage.CANONICAL_RECORDS)
    keep(store, "fraud", 1, day(1), owner="bob")
    changed = version_of(store, Stage.CANONICAL_RECORDS)

    assert first == again
    assert len({empty, first, changed}) == 3


def test_verdicts_have_the_same_data_version_until_something_is_judged(store: Store) -> None:
    tenant = described()
    keep(store, "fraud", 1, NOON, owner="ada")
    judge(tenant, store, day(1))
    first = version_of(store, Stage.COMPLIANCE_RESULTS)
    judge(tenant, store, day(1))
    again = version_of(store, Stage.COMPLIANCE_RESULTS)
    keep(store, "fraud", 1, day(2), owner="bob")
    judge(tenant, store, day(3))

    assert first == again
    assert version_of(store, Stage.COMPLIANCE_RESULTS) != first


def test_each_stage_has_a_preview_the_newest_first(store: Store) -> None:
    for model in ("first", "second", "third"):
        keep(store, model, 1, NOON, owner="ada")
    with store.begin("acme") as session:
        shown = newest_rows(session, Stage.CANONICAL_RECORDS, 2)
    with store.begin("globex") as session:
        others = [newest_rows(session, stage, 2) for stage in Stage]
    assert [row["model_name"] for row in shown] == ["third", "second"]
    assert others == [[]] * len(Stage)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("<b>\x1b[31m\u202eevil\n</b>", "<b>\\x1b[31m\\u202eevil\\n</b>"),
        ("x" * 121, "x" * 120 + "…"),
        ({"a": ["\u200b"]}, '{"a": ["\\u200b"]}'),
        (NOON, f"{NOON:%Y-%m-%d %H:%M:%S}"),
        (True, True),
        (None, None),
    ],
)
def test_a_cell_shows_what_was_written_and_does_nothing(value: object, shown: object) -> None:
    assert cell(value) == shown


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def test_a_tenant_that_is_late_is_told_of_once_with_the_stage_and_what_its_last_sync_said(
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

    def gone_through(tenant_id: str, ago: timedelta, *stages: Stage) -> None:
        with store.begin(tenant_id) as session:
            for stage in stages:
                tenancy.note_refresh(session, stage, "a-sync", now - ago, reconciled=True)

    reconcile_tenants(store, load_tenants(), now)
    for tenant_id in ("acme", "globex"):
        gone_through(tenant_id, timedelta(hours=1), *Stage)
    gone_through("acme", timedelta(hours=3), Stage.COMPLIANCE_RESULTS)

    first = look(instance, None)
    second = look(instance, first.cursor)
    gone_through("acme", timedelta(0), Stage.CANONICAL_RECORDS)  # a sync that let the check pass, and came no further
    third = look(instance, second.cursor)
    gone_through("acme", timedelta(0), Stage.COMPLIANCE_RESULTS)
    fourth = look(instance, third.cursor)

    for tick in (first, third):
        (event,) = tick.asset_events
        assert isinstance(event, dg.AssetCheckEvaluation)
        assert (event.partition, event.check_name, event.passed) == ("acme", "fresh", False)
        assert event.description == (
            f"not gone through in time: compliance_results, not since {now - timedelta(hours=3):%Y-%m-%d %H:%M} UTC. "
            "`No sync has ended yet`"
        )
    assert list(second.asset_events) == []
    (event,) = fourth.asset_events
    assert isinstance(event, dg.AssetCheckEvaluation)
    assert (event.partition, event.check_name, event.passed) == ("acme", "fresh", True), "nobody else may tell of it"
    assert fourth.cursor == "{}"
    assert list(look(instance, fourth.cursor).asset_events) == []
    assert list(look(instance, '["of", "another release"]').asset_events) == []


def look(instance: dg.DagsterInstance, cursor: str | None) -> dg.SensorResult:
    result = stale_tenants(dg.build_sensor_context(instance=instance, cursor=cursor))
    assert isinstance(result, dg.SensorResult)
    return result
