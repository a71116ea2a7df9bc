"""Dagster's instance comes from environment variables, for production and for the demo."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from verifywise_mlflow.dagster_yaml import UnusableVariableError, dagster_yaml
from verifywise_mlflow.demo.dagster_instance import write_instance
from verifywise_mlflow_tests.defs.production import name_postgres, production_instance

DEPLOY = Path(__file__).parents[1] / "deploy"


def test_dagster_takes_every_setting_from_the_variables(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name_postgres(database_url, monkeypatch)
    environment = {
        "VERIFYWISE_SYNCS_AT_ONCE": "20",
        "VERIFYWISE_SYNCS_PER_SERVER": "3",
        "VERIFYWISE_BACKFILL_SYNCS_AT_ONCE": "5",
        "VERIFYWISE_DEQUEUE_SECONDS": "2",
        "VERIFYWISE_RUN_START_SECONDS": "61",
        "VERIFYWISE_RUN_CANCEL_SECONDS": "62",
        "VERIFYWISE_RUN_SECONDS": "63",
        "VERIFYWISE_RUN_CHECK_SECONDS": "64",
        "VERIFYWISE_RUN_RETRIES": "0",
        "VERIFYWISE_KEEP_SKIPPED_TICKS_DAYS": "4",
        "VERIFYWISE_KEEP_TICKS_DAYS": "5",
        "VERIFYWISE_KEEP_FAILED_TICKS_DAYS": "6",
        "VERIFYWISE_LOG_LEVEL": "WARNING",
    }
    with production_instance(tmp_path, environment) as instance:
        storages = (instance.run_storage, instance.event_log_storage, instance.schedule_storage)
        assert {type(storage).__name__ for storage in storages} == {
            "PostgresRunStorage",
            "PostgresEventLogStorage",
            "PostgresScheduleStorage",
        }
        queue = instance.get_concurrency_config().run_queue_config
        assert queue is not None
        assert queue.max_concurrent_runs == 20
        limits = {limit["key"]: (limit.get("value"), limit["limit"]) for limit in queue.tag_concurrency_limits}
        each = {"applyLimitPerUniqueValue": True}
        assert limits == {
            "dagster/partition": (each, 1),
            "verifywise/server": (each, 3),
            "dagster/backfill": (None, 5),
        }
        assert type(instance.run_coordinator).__name__ == "TenantRunCoordinator"
        assert instance.run_coordinator.dequeue_interval_seconds == 2  # type: ignore[attr-defined]  # ours has it
        assert (instance.run_monitoring_enabled, instance.run_monitoring_start_timeout_seconds) == (True, 61)
        assert instance.run_monitoring_cancel_timeout_seconds == 62
        assert instance.run_monitoring_max_runtime_seconds == 63
        assert instance.run_monitoring_poll_interval_seconds == 64
        assert (instance.run_retries_enabled, instance.run_retries_max_retries) == (False, 0)
        assert not instance.telemetry_enabled
        assert instance.python_log_level == "WARNING"
        kept = instance.get_settings("retention")["sensor"]["purge_after_days"]
        assert kept == {"skipped": 4, "success": 5, "failure": 6}


def test_the_files_in_deploy_are_the_defaults() -> None:
    listed = dict(re.findall(r"^(\w+)=(.*)$", (DEPLOY / "dagster.env").read_text(), re.MULTILINE))

    assert yaml.safe_load((DEPLOY / "dagster.yaml").read_text()) == dagster_yaml({})
    assert dagster_yaml(listed) == dagster_yaml({})


def test_the_password_stays_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DAGSTER_PG_PASSWORD", "hunter2-hunter2")

    write_instance(tmp_path)

    written = (tmp_path / "dagster.yaml").read_text()
    assert "hunter2" not in written
    assert yaml.safe_load(written)["storage"]["postgres"]["postgres_db"]["password"] == {"env": "DAGSTER_PG_PASSWORD"}


@pytest.mark.parametrize("written", ["0", "-1", "two", "1.5", "9" * 30, "²"])
def test_a_limit_that_is_no_whole_number_is_refused_in_a_sentence(written: str) -> None:
    with pytest.raises(UnusableVariableError, match="VERIFYWISE_SYNCS_AT_ONCE has to be a whole number from 1"):
        dagster_yaml({"VERIFYWISE_SYNCS_AT_ONCE": written})
