"""The heartbeat of a worker, for its health check: the worker touches a file while it can take runs from the broker.

Workers take no commands from the broker, so the network offers no health check. The event loop that receives runs
touches the file only while the worker is connected. A worker that hangs, has lost its broker or is stopping no longer
touches the file.

Nothing of Celery is imported here until a worker starts: health checks run every half minute.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from celery import Celery

HEARTBEAT_FILE: Final = "VERIFYWISE_HEARTBEAT_FILE"
"""The variable with the file's path; without it, a worker writes no file."""
INTERVAL_SECONDS: Final = 10.0
MAX_AGE_SECONDS: Final = 60.0
"""A worker whose heartbeat is older is unhealthy. On an overloaded machine, the event loop is late by seconds."""


def add_heartbeat(app: Celery, file: Path) -> None:
    """Make the worker of an application touch a file as long as it receives runs."""
    from celery import bootsteps

    class Heartbeat(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery has no types
        requires = ("celery.worker.consumer.tasks:Tasks",)  # this step starts to receive, and stops with the connection
        timer: Any = None

        def start(self, consumer: Any) -> None:
            file.touch()
            self.timer = consumer.timer.call_repeatedly(INTERVAL_SECONDS, file.touch)

        def stop(self, consumer: Any) -> None:  # noqa: ARG002  # Celery's signature
            if self.timer is not None:
                self.timer.cancel()

    app.steps["consumer"].add(Heartbeat)


def heartbeat_problem(file: Path, now: float) -> str | None:
    """Return why a worker is not healthy at ``now``, in seconds since the epoch; None if it can take runs."""
    try:
        age = now - file.stat().st_mtime
    except OSError as error:
        return f"The worker has not connected to the broker yet: {file}: {error.strerror}"
    if age > MAX_AGE_SECONDS:
        return f"The worker's last heartbeat is {age:.0f} s old: it hangs, is stopping, or has lost the broker"
    return None
