"""Seed the tenants' registries, one process per tenant, in parallel."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from verifywise_mlflow.demo.servers.process import ChildProcess, child_environment

TENANTS = ("acme-bank", "globex-health")
"""The demo's tenants; their workspaces in MLflow have the same names."""


def seed_registries(tracking_uri: str, logs: Path, report_progress: Callable[[str], None]) -> None:
    """Train and register the tenants' models.

    Args:
        tracking_uri: The MLflow server. Workspaces must be enabled, and the two tenants' workspaces must not exist.
        logs: The folder for the logs.
        report_progress: Called with each line of progress.

    Raises:
        ProcessFailedError: A process failed. The models that it registered until then stay.
    """
    with ExitStack() as stack:
        processes = [stack.enter_context(_seeding_process(tenant, tracking_uri, logs)) for tenant in TENANTS]
        reported = [0 for _ in processes]
        running = True
        while running:
            # Checked before the logs are read, so that the last line is never missed.
            running = any(process.is_alive() for process in processes)
            for index, process in enumerate(processes):
                done = _steps(process)
                for step in done[reported[index] :]:
                    report_progress(step)
                reported[index] = len(done)
                if not process.is_alive() and process.exit_code != 0:
                    raise process.failure("failed")
            time.sleep(0.1)


def _seeding_process(tenant: str, tracking_uri: str, logs: Path) -> ChildProcess:
    return ChildProcess(
        f"Seeding the registry of {tenant}",
        [sys.executable, "-m", "verifywise_mlflow.demo.registries", tenant, tracking_uri],
        log=logs / f"{tenant}.log",
        env=child_environment(MLFLOW_DISABLE_TELEMETRY="true", MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT="true"),
    )


def _steps(process: ChildProcess) -> Sequence[str]:
    """Return the steps in the log; its other lines are MLflow's."""
    complete, _, _ = process.log.read_text(encoding="utf-8", errors="replace").rpartition("\n")
    return [line.replace("\t", ": ", 1) for line in complete.split("\n") if line.startswith(TENANTS) and "\t" in line]
