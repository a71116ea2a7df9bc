"""The report as an asset: written to the configured place, off by default, due after a change or on another day."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
import yaml

from verifywise_mlflow.defs.assets.governance_report import governance_report
from verifywise_mlflow.defs.partitions import tenant_partitions
from verifywise_mlflow.defs.sensors.due_reports import MIN_INTERVAL, RequestedReport, due_reports, is_due
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.tenants.errors import TenantsFileError
from verifywise_mlflow.tenants.loading import load_tenants
from verifywise_mlflow_tests.support.evaluation_fixtures import evaluate, store_record, tenant_with_policies

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture
def instance(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """A Dagster instance with the partition of a tenant, whose database is empty."""
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", database_url)
    configure(tmp_path, monkeypatch, {"directory": str(tmp_path / "reports"), "url": "https://reports.example.com/g/"})
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(str(tenant_partitions.name), ["acme"])
        yield instance


def test_the_report_is_written_where_the_settings_say_and_linked(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    result = dg.materialize([governance_report], instance=instance, partition_key="acme")

    (event,) = result.get_asset_materialization_events()
    assert event.materialization.metadata["report"] == dg.MetadataValue.url(
        "https://reports.example.com/g/acme/index.html"
    )
    assert (tmp_path / "reports" / "acme" / "index.html").is_file()


def test_without_settings_nothing_is_written(
    instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(tmp_path, monkeypatch, None)

    result = dg.materialize([governance_report], instance=instance, partition_key="acme")

    (event,) = result.get_asset_materialization_events()
    assert event.materialization.metadata["outcome"].value == "no directory and no bucket is configured"
    assert not (tmp_path / "reports").exists()
    sensor = due_reports(dg.build_sensor_context(instance))
    assert isinstance(sensor, dg.SkipReason)


def test_a_folder_with_other_files_fails_the_report_with_a_sentence(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    folder = tmp_path / "reports" / "acme"
    folder.mkdir(parents=True)
    (folder / "minutes.txt").write_text("of the board")

    result = dg.materialize([governance_report], instance=instance, partition_key="acme", raise_on_error=False)

    assert not result.success
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert "has files that are not a report" in str(failure.event_specific_data)
    assert (folder / "minutes.txt").exists()


def test_the_sensor_requests_a_report_after_a_change_and_not_again(instance: dg.DagsterInstance, store: Store) -> None:
    nothing_evaluated = due_reports(dg.build_sensor_context(instance))
    assert isinstance(nothing_evaluated, dg.SkipReason)
    store_record(store, "churn", 1, NOW, owner="crm")
    evaluate(tenant_with_policies(), store, NOW)

    first = due_reports(dg.build_sensor_context(instance))
    assert isinstance(first, dg.SensorResult)
    assert [request.partition_key for request in first.run_requests or ()] == ["acme"]
    second = due_reports(dg.build_sensor_context(instance, cursor=first.cursor))
    assert isinstance(second, dg.SkipReason)


@pytest.mark.parametrize(
    ("requested", "state", "expected"),
    [
        (None, "one", True),
        (RequestedReport("one", NOW - timedelta(hours=1)), "one", False),
        (RequestedReport("one", NOW - timedelta(hours=1)), "two", True),
        (RequestedReport("one", NOW - MIN_INTERVAL / 2), "two", False),
        (RequestedReport("one", NOW - timedelta(days=1)), "one", True),
    ],
)
def test_a_report_is_due_after_a_change_and_on_another_day(
    requested: RequestedReport | None, state: str, expected: bool
) -> None:
    assert is_due(requested, state, NOW) is expected


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"directory": "reports"}, "the path is relative"),
        ({"directory": "/srv/reports", "url": "javascript:alert(1)"}, "this is not an http"),
    ],
)
def test_settings_that_cannot_work_are_refused(
    settings: dict[str, str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(tmp_path, monkeypatch, settings)

    with pytest.raises(TenantsFileError, match=sentence):
        load_tenants()


def configure(folder: Path, monkeypatch: pytest.MonkeyPatch, report: dict[str, str] | None) -> None:
    """Write a tenants.yaml with one tenant, and with settings of reports as defaults."""
    document = {"tenants": {"acme": {"tracking_uri": "https://mlflow.acme.example"}}}
    path = folder / "tenants.yaml"
    path.write_text(yaml.safe_dump({**document, **({"defaults": {"report": report}} if report else {})}))
    monkeypatch.setenv("VERIFYWISE_TENANTS", str(path))
