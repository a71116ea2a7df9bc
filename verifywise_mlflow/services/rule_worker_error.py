"""Why a tenant's own rules could not be evaluated. Every command may report it, and few need the worker itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from verifywise_mlflow.artifacts.sandbox.worker_process import WorkerLostError


class RuleWorkerUnavailableError(Exception):
    """The process that evaluates a tenant's own rules could not be started."""

    retryable = True

    def __init__(self, error: WorkerLostError) -> None:
        """Store the error with which the start failed."""
        super().__init__(
            f"the process that evaluates the tenant's own rules: {error}. No verdict was changed: sync again once the "
            "system can start a process"
        )
