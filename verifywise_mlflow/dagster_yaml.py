"""Generates Dagster's instance configuration from environment variables.

Run ``python -m verifywise_mlflow.dagster_yaml > dagster.yaml``. Dagster itself reads only some settings from variables:
the limits of run monitoring, retention and concurrency must be numbers in the file. The file contains no secrets: it
names the variables that hold the secrets.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Final

import yaml

from verifywise_mlflow.instance_settings import INTEGER_SETTINGS, InvalidSettingError, integer_setting

LOG_LEVEL: Final = "VERIFYWISE_LOG_LEVEL"
LOG_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
COMPUTE_LOG_DIR: Final = "VERIFYWISE_COMPUTE_LOG_DIR"
"""The variable with the directory for the output of runs. Without this variable, output is discarded."""

LAUNCHER: Final = "VERIFYWISE_LAUNCHER"
"""With the value ``celery``, workers on any machine execute runs. Otherwise runs are processes of the code server."""


def instance_config(environment: Mapping[str, str]) -> dict[str, object]:
    """Return the content of dagster.yaml.

    Raises:
        InvalidSettingError: a variable has an invalid value.
    """
    settings = {name: integer_setting(environment, name) for name in INTEGER_SETTINGS}
    log_level = environment.get(LOG_LEVEL) or "INFO"
    if log_level not in LOG_LEVELS:
        raise InvalidSettingError(f"{LOG_LEVEL} is {log_level!r}. It must be one of {', '.join(LOG_LEVELS)}")
    launcher = environment.get(LAUNCHER) or "default"
    if launcher not in ("default", "celery"):
        raise InvalidSettingError(f"{LAUNCHER} is {launcher!r}. It must be default or celery")
    tick_retention = {
        "skipped": settings["VERIFYWISE_SKIPPED_TICK_RETENTION_DAYS"],
        "success": settings["VERIFYWISE_TICK_RETENTION_DAYS"],
        "failure": settings["VERIFYWISE_FAILED_TICK_RETENTION_DAYS"],
    }
    return {
        "storage": {"postgres": {"postgres_db": _POSTGRES_DB}},
        **({"run_launcher": _CELERY_LAUNCHER} if launcher == "celery" else {}),
        "compute_logs": _compute_logs(environment.get(COMPUTE_LOG_DIR)),
        "telemetry": {"enabled": False},
        "nux": {"enabled": False},  # the newsletter prompt, which is loaded from outside
        "python_logs": {"python_log_level": log_level},
        # The coordinator gives each run the tags that the limits below refer to, and deduplicates queued runs.
        "run_coordinator": {
            "module": "verifywise_mlflow.defs.run_queue.coordinator",
            "class": "TenantRunCoordinator",
            "config": {"dequeue_interval_seconds": settings["VERIFYWISE_DEQUEUE_INTERVAL_SECONDS"]},
        },
        "concurrency": {
            "runs": {
                # Deliveries have separate slots: a target that hangs must not delay syncs.
                "max_concurrent_runs": settings["VERIFYWISE_MAX_CONCURRENT_SYNCS"]
                + settings["VERIFYWISE_MAX_CONCURRENT_DELIVERIES"],
                "tag_concurrency_limits": [
                    # At most one sync of a tenant runs at a time, no matter who requested it. The store enforces this
                    # limit, too.
                    {"key": "verifywise/tenant", "value": {"applyLimitPerUniqueValue": True}, "limit": 1},
                    {"key": "verifywise/tenant", "limit": settings["VERIFYWISE_MAX_CONCURRENT_SYNCS"]},
                    {"key": "verifywise/delivery", "limit": settings["VERIFYWISE_MAX_CONCURRENT_DELIVERIES"]},
                    {
                        "key": "verifywise/server",
                        "value": {"applyLimitPerUniqueValue": True},
                        "limit": settings["VERIFYWISE_MAX_CONCURRENT_SYNCS_PER_SERVER"],
                    },
                    {
                        "key": "verifywise/speed",
                        "value": "slow",
                        "limit": settings["VERIFYWISE_MAX_CONCURRENT_SLOW_SYNCS"],
                    },
                    {"key": "dagster/backfill", "limit": settings["VERIFYWISE_MAX_CONCURRENT_BACKFILL_SYNCS"]},
                ],
            }
        },
        # A tick over servers that hang takes 40 s; with threads, the other sensors and schedules do not wait for it.
        # One thread always waits for hints of MLflow's webhooks.
        "sensors": {"use_threads": True, "num_workers": 7},
        "schedules": {"use_threads": True, "num_workers": 4},
        "run_monitoring": {
            "enabled": True,
            "start_timeout_seconds": settings["VERIFYWISE_RUN_START_TIMEOUT_SECONDS"],
            "cancel_timeout_seconds": settings["VERIFYWISE_RUN_CANCEL_TIMEOUT_SECONDS"],
            "max_runtime_seconds": settings["VERIFYWISE_RUN_TIMEOUT_SECONDS"],
            "poll_interval_seconds": settings["VERIFYWISE_RUN_POLL_INTERVAL_SECONDS"],
        },
        # Retries apply to a run whose process died. A failed asset decides itself whether a retry may help.
        "run_retries": {
            "enabled": settings["VERIFYWISE_RUN_MAX_RETRIES"] > 0,
            "max_retries": settings["VERIFYWISE_RUN_MAX_RETRIES"],
            "retry_on_asset_or_op_failure": False,
        },
        "retention": {
            "sensor": {"purge_after_days": tick_retention},
            "schedule": {"purge_after_days": dict(tick_retention)},
        },
    }


# Dagster's own database. Dagster reads these variables when it starts.
_POSTGRES_DB: Mapping[str, object] = {
    "hostname": {"env": "DAGSTER_PG_HOST"},
    "port": {"env": "DAGSTER_PG_PORT"},
    "username": {"env": "DAGSTER_PG_USERNAME"},
    "password": {"env": "DAGSTER_PG_PASSWORD"},
    "db_name": {"env": "DAGSTER_PG_DB"},
    # SQLAlchemy 2.1 resolves a bare `postgresql` to psycopg 3, which dagster-postgres does not install.
    "scheme": "postgresql+psycopg2",
}

_CELERY_LAUNCHER: Mapping[str, object] = {
    "module": "verifywise_mlflow.distributed.launcher",
    "class": "LeasedRunLauncher",
    "config": {"broker": {"env": "VERIFYWISE_BROKER_URL"}, "backend": None},  # by reference: the URL holds a password
}


def _compute_logs(directory: str | None) -> dict[str, object]:
    # Dagster documents both modules for dagster.yaml under these names.
    if directory:
        return {
            "module": "dagster._core.storage.local_compute_log_manager",
            "class": "LocalComputeLogManager",
            "config": {"base_dir": directory},
        }
    return {"module": "dagster._core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"}


def to_yaml(config: Mapping[str, object]) -> str:
    """Return an instance configuration as the text of a dagster.yaml."""
    return yaml.safe_dump(config, sort_keys=False, width=120)


def main() -> int:
    """Print the file; return the program's exit code."""
    try:
        sys.stdout.write(to_yaml(instance_config(os.environ)))
    except InvalidSettingError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
