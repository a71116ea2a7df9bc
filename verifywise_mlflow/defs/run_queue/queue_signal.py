"""Notifies the daemon of a queued run through Dagster's database, so that the daemon reads the queue at once."""

from __future__ import annotations

import logging
from typing import Final

import dagster as dg

from verifywise_mlflow.defs.dagster_compat.connections import notify

CHANNEL: Final = "verifywise_mlflow_run_queue"


def announce_run(instance: dg.DagsterInstance) -> None:
    """Notify a daemon that listens. If this fails, the daemon finds the run when it next reads the queue."""
    try:
        notify(instance, CHANNEL)
    except Exception as error:  # noqa: BLE001  # each driver has errors of its own; the run is in the queue
        logging.getLogger(__name__).debug("no daemon was notified of a run: %s", type(error).__name__)
