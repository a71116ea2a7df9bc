"""Fills the tenants' registries, one process a tenant, both at once."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from verifywise_mlflow.demo.servers.process import ChildProcess, child_environment

TENANTS = ("acme-bank", "globex-health")
"""The demo's tenants; their workspaces in MLflow bear the same names."""


def fill_registries(tracking_uri: str, logs: Path, tell: Callable[[str], None]) -> None:
    """Train and register the tenants' models.

    Args:
        tracking_uri: the MLflow server's, which must have workspaces enabled and not have these yet.
        logs: the directory for the logs.
        tell: takes each line of progress.

    Raises:
        ProcessFailedError: one of them failed; what it did until then stays.
    """
    with ExitStack() as stack:
        fillers = [stack.enter_context(_filler(tenant, tracking_uri, logs)) for tenant in TENANTS]
        told = [0 for _ in fillers]
        running = True
        while running:
            # Asked before the last look at the logs, so that nobody's last line is missed.
            running = any(filler.is_alive() for filler in fillers)
            for index, filler in enumerate(fillers):
                done = _steps(filler)
                for step in done[told[index] :]:
                    tell(step)
                told[index] = len(done)
                if not filler.is_alive() and filler.exit_code != 0:
                    raise filler.failure("failed")
            time.sleep(0.1)


def _filler(tenant: str, tracking_uri: str, logs: Path) -> ChildProcess:
    return ChildProcess(
        f"Filling the registry of {tenant}",
        [sys.executable, "-m", "verifywise_mlflow.demo.registries", tenant, tracking_uri],
        log=logs / f"{tenant}.log",
        env=child_environment(MLFLOW_DISABLE_TELEMETRY="true", MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT="true"),
    )


def _steps(filler: ChildProcess) -> Sequence[str]:
    """Return the steps that it has told of; the rest of its log is MLflow's."""
    complete, _, _ = filler.log.read_text(encoding="utf-8", errors="replace").rpartition("\n")
    return [line.replace("\t", ": ", 1) for line in complete.split("\n") if line.startswith(TENANTS) and "\t" in line]
