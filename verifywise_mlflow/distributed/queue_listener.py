"""Listens for runs that any process has queued, so that the daemon reads the queue at once."""

from __future__ import annotations

import logging
import threading
from typing import Final

from sqlalchemy import NullPool, create_engine

from verifywise_mlflow.defs.run_queue.queue_signal import CHANNEL
from verifywise_mlflow.persistence.errors import DatabaseError
from verifywise_mlflow.persistence.notifications import listen

_WAIT_SECONDS: Final = 1.0
_PAUSE_SECONDS: Final = 10.0
"""The pause after a session could not be opened or was lost. Meanwhile the queue is read once per interval."""
_LOG: Final = logging.getLogger(__name__)


def set_on_new_runs(has_new_run: threading.Event, dagster_url: str, is_over: threading.Event) -> None:
    """Set ``has_new_run`` whenever a run is queued, until ``is_over`` is set."""
    engine = create_engine(
        dagster_url, poolclass=NullPool, connect_args={"application_name": "verifywise-mlflow run queue"}
    )
    while not is_over.is_set():
        try:
            with listen(engine, CHANNEL) as listener:
                has_new_run.set()
                while not (listener.is_lost or is_over.is_set()):
                    if listener.wait(_WAIT_SECONDS):
                        has_new_run.set()
        except DatabaseError as error:
            _LOG.warning("the run queue is looked at once per interval: %s", error)
        is_over.wait(_PAUSE_SECONDS)
