"""Dagster's instance, from environment variables: ``python -m verifywise_mlflow.dagster_yaml > dagster.yaml``.

Dagster itself takes only some of its settings from variables; the numbers of run monitoring, retention and the tags'
limits have to stand in the file. Secrets do not: the file refers to the variables that hold them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

import yaml

WHOLE_NUMBERS: Mapping[str, tuple[int, str]] = {
    "VERIFYWISE_SYNCS_AT_ONCE": (8, "runs at once, over all tenants"),
    "VERIFYWISE_SYNCS_PER_SERVER": (2, "runs at once whose tenants are on one MLflow server"),
    "VERIFYWISE_BACKFILL_SYNCS_AT_ONCE": (6, "runs at once that backfills asked for; the rest is left to the sensors"),
    "VERIFYWISE_DEQUEUE_SECONDS": (1, "between two looks into the queue"),
    "VERIFYWISE_RUN_START_SECONDS": (120, "until a run that does not start has failed"),
    "VERIFYWISE_RUN_SECONDS": (7_200, "until a run that does not end is ended"),
    "VERIFYWISE_RUN_CANCEL_SECONDS": (120, "until a run that does not let itself be cancelled counts as cancelled"),
    "VERIFYWISE_RUN_CHECK_SECONDS": (20, "between two looks at the runs' processes"),
    "VERIFYWISE_RUN_RETRIES": (1, "new tries for a run whose process died"),
    "VERIFYWISE_KEEP_SKIPPED_TICKS_DAYS": (2, "for ticks of sensors and schedules that asked for nothing"),
    "VERIFYWISE_KEEP_TICKS_DAYS": (14, "for ticks that asked for runs"),
    "VERIFYWISE_KEEP_FAILED_TICKS_DAYS": (30, "for ticks that failed"),
    # Dagster has no setting for these two: they are for the job delete_old_runs.
    "VERIFYWISE_KEEP_UNCHANGED_RUNS_DAYS": (7, "for runs that changed nothing, with their events"),
    "VERIFYWISE_KEEP_RUNS_DAYS": (90, "for all other runs"),
}
"""The variables, their defaults, and what they say."""

LOG_LEVEL = "VERIFYWISE_LOG_LEVEL"
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
COMPUTE_LOGS = "VERIFYWISE_COMPUTE_LOGS"
"""A directory for what runs print; without it nothing of that is kept."""

POSTGRES = ("DAGSTER_PG_HOST", "DAGSTER_PG_PORT", "DAGSTER_PG_USERNAME", "DAGSTER_PG_PASSWORD", "DAGSTER_PG_DB")
"""Of Dagster's own database; read by Dagster when it starts."""


class UnusableVariableError(ValueError):
    """A variable does not hold what it should."""


def dagster_yaml(environment: Mapping[str, str]) -> dict[str, object]:
    """Return Dagster's instance as the variables describe it.

    Raises:
        UnusableVariableError: one of them does not hold what it should.
    """
    numbers = {name: whole_number(environment, name) for name in WHOLE_NUMBERS}
    level = environment.get(LOG_LEVEL) or "INFO"
    if level not in LOG_LEVELS:
        raise UnusableVariableError(f"{LOG_LEVEL} has to be one of {', '.join(LOG_LEVELS)}")
    ticks = {
        "skipped": numbers["VERIFYWISE_KEEP_SKIPPED_TICKS_DAYS"],
        "success": numbers["VERIFYWISE_KEEP_TICKS_DAYS"],
        "failure": numbers["VERIFYWISE_KEEP_FAILED_TICKS_DAYS"],
    }
    return {
        "storage": {"postgres": {"postgres_db": _POSTGRES_DB}},
        "compute_logs": _compute_logs(environment.get(COMPUTE_LOGS)),
        "telemetry": {"enabled": False},
        "nux": {"enabled": False},  # no newsletter, which would come from outside
        "python_logs": {"python_log_level": level},
        # Gives each run the tags that the limits below are about.
        "run_coordinator": {
            "module": "verifywise_mlflow.defs.run_queue.coordinator",
            "class": "TenantRunCoordinator",
            "config": {"dequeue_interval_seconds": numbers["VERIFYWISE_DEQUEUE_SECONDS"]},
        },
        "concurrency": {
            "runs": {
                "max_concurrent_runs": numbers["VERIFYWISE_SYNCS_AT_ONCE"],
                "tag_concurrency_limits": [
                    # One sync of a tenant at a time, whoever asks for it. (The store holds the line, too.)
                    {"key": "dagster/partition", "value": {"applyLimitPerUniqueValue": True}, "limit": 1},
                    {
                        "key": "verifywise/server",
                        "value": {"applyLimitPerUniqueValue": True},
                        "limit": numbers["VERIFYWISE_SYNCS_PER_SERVER"],
                    },
                    {"key": "dagster/backfill", "limit": numbers["VERIFYWISE_BACKFILL_SYNCS_AT_ONCE"]},
                ],
            }
        },
        # A tick over servers that hang takes 40 s; the other sensors and schedules do not wait for it.
        "sensors": {"use_threads": True, "num_workers": 6},
        "schedules": {"use_threads": True, "num_workers": 4},
        "run_monitoring": {
            "enabled": True,
            "start_timeout_seconds": numbers["VERIFYWISE_RUN_START_SECONDS"],
            "cancel_timeout_seconds": numbers["VERIFYWISE_RUN_CANCEL_SECONDS"],
            "max_runtime_seconds": numbers["VERIFYWISE_RUN_SECONDS"],
            "poll_interval_seconds": numbers["VERIFYWISE_RUN_CHECK_SECONDS"],
        },
        # A run whose process died is tried once more; a failed asset says itself whether that would help.
        "run_retries": {
            "enabled": numbers["VERIFYWISE_RUN_RETRIES"] > 0,
            "max_retries": numbers["VERIFYWISE_RUN_RETRIES"],
            "retry_on_asset_or_op_failure": False,
        },
        "retention": {"sensor": {"purge_after_days": ticks}, "schedule": {"purge_after_days": dict(ticks)}},
    }


_POSTGRES_DB: Mapping[str, object] = {
    "hostname": {"env": "DAGSTER_PG_HOST"},
    "port": {"env": "DAGSTER_PG_PORT"},
    "username": {"env": "DAGSTER_PG_USERNAME"},
    "password": {"env": "DAGSTER_PG_PASSWORD"},
    "db_name": {"env": "DAGSTER_PG_DB"},
    "scheme": "postgresql+psycopg2",
}


def whole_number(environment: Mapping[str, str], name: str) -> int:
    """Return what one of ``WHOLE_NUMBERS`` says, or its default.

    Raises:
        UnusableVariableError: it does not hold a whole number, or too large a one.
    """
    default, what = WHOLE_NUMBERS[name]
    written = (environment.get(name) or str(default)).strip()
    least = 0 if name == "VERIFYWISE_RUN_RETRIES" else 1
    if not (written.isascii() and written.isdigit() and least <= int(written[:10]) <= 1_000_000):
        raise UnusableVariableError(f"{name} has to be a whole number from {least} to 1,000,000: {what}")
    return int(written)


def _compute_logs(directory: str | None) -> dict[str, object]:
    if directory:
        return {
            "module": "dagster._core.storage.local_compute_log_manager",
            "class": "LocalComputeLogManager",
            "config": {"base_dir": directory},
        }
    return {"module": "dagster._core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"}


def as_text(instance: Mapping[str, object]) -> str:
    """Return an instance as the text of a dagster.yaml."""
    return yaml.safe_dump(instance, sort_keys=False, width=120)


def main() -> int:
    """Print the file; return the program's exit code."""
    try:
        sys.stdout.write(as_text(dagster_yaml(os.environ)))
    except UnusableVariableError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
