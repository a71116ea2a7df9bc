"""Checks Dagster's daemons and run queue."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from verifywise_mlflow.services.installation.finding import Finding
from verifywise_mlflow.services.metrics.collector import QueueUnreadableError
from verifywise_mlflow.services.metrics.queue_state import QueueState

MAX_WAIT_SECONDS: Final = 900
"""The seconds that the oldest queued run may wait without a warning. A longer wait is only a warning, since runs of a
backfill may wait longer by design."""


def check_queue(read_queue: Callable[[], QueueState] | None) -> Iterator[Finding]:
    """Yield the findings; ``read_queue`` is None if no instance of Dagster is configured."""
    if read_queue is None:
        yield Finding("dagster", "skipped", "DAGSTER_HOME is not set: daemons and run queue are not checked")
        return
    try:
        state = read_queue()
    except QueueUnreadableError as error:
        remedy = "check DAGSTER_HOME, its dagster.yaml, and the variables DAGSTER_PG_* that it names"
        yield Finding("dagster", "problem", str(error), remedy)
        return
    silent = [name for name, is_healthy in state.daemons.items() if not is_healthy]
    if silent:
        detail = f"these daemons have not reported lately: {', '.join(silent)}"
        yield Finding("daemons", "problem", detail, "start dagster-daemon run, or look at its log")
    else:
        yield Finding("daemons", "ok", f"{len(state.daemons)} have reported lately")
    waiting, running = state.runs.get("queued", 0), state.runs.get("started", 0)
    detail = f"{waiting:,} runs are queued, {running:,} are running"
    if state.oldest_queued_seconds > MAX_WAIT_SECONDS:
        detail += f"; the oldest has waited for {state.oldest_queued_seconds / 60:.0f} minutes"
        remedy = "raise VERIFYWISE_MAX_CONCURRENT_SYNCS if the machine is idle; otherwise add machines"
        yield Finding("run queue", "warning", detail, remedy)
    else:
        yield Finding("run queue", "ok", detail)
