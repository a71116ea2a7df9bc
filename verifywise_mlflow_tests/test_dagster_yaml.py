"""Dagster's instance configuration is generated from environment variables, for production and for the demo."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from verifywise_mlflow.dagster_yaml import COMPUTE_LOG_DIR, LAUNCHER, LOG_LEVEL, instance_config
from verifywise_mlflow.demo.servers.dagster_instance import write_instance
from verifywise_mlflow.instance_settings import INTEGER_SETTINGS, InvalidSettingError
from verifywise_mlflow_tests.defs.production import production_instance, set_dagster_database

DEPLOY = Path(__file__).parents[1] / "deploy"


def test_every_variable_reaches_its_setting_in_dagster(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_dagster_database(database_url, monkeypatch)
    environment = {
        "VERIFYWISE_MAX_CONCURRENT_SYNCS": "20",
        "VERIFYWISE_MAX_CONCURRENT_DELIVERIES": "7",
        "VERIFYWISE_MAX_CONCURRENT_SYNCS_PER_SERVER": "3",
        "VERIFYWISE_MAX_CONCURRENT_BACKFILL_SYNCS": "5",
        "VERIFYWISE_MAX_CONCURRENT_SLOW_SYNCS": "2",
        "VERIFYWISE_DEQUEUE_INTERVAL_SECONDS": "2",
        "VERIFYWISE_RUN_START_TIMEOUT_SECONDS": "61",
        "VERIFYWISE_RUN_CANCEL_TIMEOUT_SECONDS": "62",
        "VERIFYWISE_RUN_TIMEOUT_SECONDS": "63",
        "VERIFYWISE_RUN_POLL_INTERVAL_SECONDS": "64",
        "VERIFYWISE_RUN_MAX_RETRIES": "0",
        "VERIFYWISE_SKIPPED_TICK_RETENTION_DAYS": "4",
        "VERIFYWISE_TICK_RETENTION_DAYS": "5",
        "VERIFYWISE_FAILED_TICK_RETENTION_DAYS": "6",
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
        assert queue.max_concurrent_runs == 27
        limits = [(limit["key"], limit.get("value"), limit["limit"]) for limit in queue.tag_concurrency_limits]
        per_value = {"applyLimitPerUniqueValue": True}
        assert limits == [
            ("verifywise/tenant", per_value, 1),
            ("verifywise/tenant", None, 20),
            ("verifywise/delivery", None, 7),
            ("verifywise/server", per_value, 3),
            ("verifywise/speed", "slow", 2),
            ("dagster/backfill", None, 5),
        ]
        assert type(instance.run_coordinator).__name__ == "TenantRunCoordinator"
        assert instance.run_coordinator.dequeue_interval_seconds == 2  # type: ignore[attr-defined]  # ours has it
        assert (instance.run_monitoring_enabled, instance.run_monitoring_start_timeout_seconds) == (True, 61)
        assert instance.run_monitoring_cancel_timeout_seconds == 62
        assert instance.run_monitoring_max_runtime_seconds == 63
        assert instance.run_monitoring_poll_interval_seconds == 64
        assert (instance.run_retries_enabled, instance.run_retries_max_retries) == (False, 0)
        assert not instance.telemetry_enabled
        assert instance.python_log_level == "WARNING"
        retention = instance.get_settings("retention")["sensor"]["purge_after_days"]
        assert retention == {"skipped": 4, "success": 5, "failure": 6}


def test_the_files_in_deploy_contain_the_defaults() -> None:
    variables = dict(re.findall(r"^(\w+)=(.*)$", (DEPLOY / "dagster.env").read_text(), re.MULTILINE))

    assert yaml.safe_load((DEPLOY / "dagster.yaml").read_text()) == instance_config({})
    numbers = {name: str(default) for name, (default, _) in INTEGER_SETTINGS.items()}
    assert variables == {**numbers, LAUNCHER: "default", LOG_LEVEL: "INFO", COMPUTE_LOG_DIR: ""}
    assert instance_config(variables) == instance_config({})


def test_the_password_is_not_written_into_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DAGSTER_PG_PASSWORD", "hunter2-hunter2")

    write_instance(tmp_path)

    text = (tmp_path / "dagster.yaml").read_text()
    assert "hunter2" not in text
    assert yaml.safe_load(text)["storage"]["postgres"]["postgres_db"]["password"] == {"env": "DAGSTER_PG_PASSWORD"}


def test_the_launcher_of_workers_refers_to_the_broker_and_does_not_hold_its_url(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VERIFYWISE_BROKER_URL", "redis://:hunter2-hunter2@127.0.0.1:6379/0")

    with production_instance(tmp_path, {"VERIFYWISE_LAUNCHER": "celery"}, in_sqlite=True) as instance:
        assert type(instance.run_launcher).__name__ == "LeasedRunLauncher"
        assert instance.run_launcher.supports_check_run_worker_health
    assert "hunter2" not in (tmp_path / "dagster.yaml").read_text()


def test_an_unknown_launcher_is_rejected() -> None:
    with pytest.raises(InvalidSettingError, match=r"VERIFYWISE_LAUNCHER .* must be default or celery"):
        instance_config({"VERIFYWISE_LAUNCHER": "kubernetes"})


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5", "9" * 30, "²"])
def test_a_limit_that_is_not_a_whole_number_is_rejected_with_the_range(value: str) -> None:
    with pytest.raises(InvalidSettingError, match=r"VERIFYWISE_MAX_CONCURRENT_SYNCS .* must be a whole number from 1"):
        instance_config({"VERIFYWISE_MAX_CONCURRENT_SYNCS": value})
