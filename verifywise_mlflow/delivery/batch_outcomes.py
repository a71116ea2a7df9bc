"""Determines the outcome of each version of a batch, for targets to which events are sent one by one.

A refused event affects only its version. The version is tried again and finally parked, while other versions continue.
An error of the connection or of the credentials affects all versions. So it ends the delivery and does not count as a
try of any version. A server error (500) may be of either kind: if several versions in a row fail with it, the cause is
probably the server.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from verifywise_mlflow.delivery.target import BatchResult, OutcomeKind, VersionOutcome
from verifywise_mlflow.http.errors import (
    HttpError,
    InternalServerError,
    RequestRejectedError,
    ResponseTimeoutError,
)
from verifywise_mlflow.persistence.repositories.delivery_outbox import PendingVersion

MAX_SERVER_ERRORS_IN_A_ROW: Final = 3
BATCH_SECONDS: Final = 60.0
"""After this time, no further event of a batch is sent. The next delivery sends the remaining events."""


class BatchOutcomes:
    """Collects the outcomes of one batch."""

    def __init__(self, batch: Sequence[PendingVersion], clock: Callable[[], float] = time.monotonic) -> None:
        """Start the clock of the batch."""
        self._batch = batch
        self._clock = clock
        self._deadline = clock() + BATCH_SECONDS
        self._outcomes: dict[PendingVersion, VersionOutcome] = {}
        self._server_errors = 0
        self._stop: HttpError | None = None

    @property
    def may_continue(self) -> bool:
        """Whether a further event may be sent."""
        return self._stop is None and self._clock() < self._deadline

    def record_success(self, version: PendingVersion) -> None:
        """Record that all events of a version were accepted."""
        self._server_errors = 0
        self._outcomes[version] = VersionOutcome(version, OutcomeKind.DELIVERED)

    def record_failure(self, version: PendingVersion, error: HttpError) -> None:
        """Record that an event of a version was not accepted."""
        is_server_error = isinstance(error, InternalServerError)
        is_of_version = is_server_error or isinstance(error, RequestRejectedError)
        self._server_errors = self._server_errors + 1 if is_server_error else 0
        if not is_of_version or self._server_errors == MAX_SERVER_ERRORS_IN_A_ROW:
            self._stop = error
        self._outcomes[version] = _outcome(
            version, OutcomeKind.FAILED if is_of_version else OutcomeKind.DEFERRED, error
        )

    def result(self, counts: Mapping[str, int]) -> BatchResult:
        """Return the result of the batch. Versions that were not tried are deferred."""
        stop = self._stop
        reason = stop or ResponseTimeoutError(f"the batch took longer than {BATCH_SECONDS:g} seconds")
        outcomes = [
            self._outcomes.get(version) or _outcome(version, OutcomeKind.DEFERRED, reason) for version in self._batch
        ]
        written = {name: count for name, count in counts.items() if count}
        return BatchResult(outcomes, written, stop_reason=str(stop) if stop else None)


def _outcome(version: PendingVersion, kind: OutcomeKind, error: HttpError) -> VersionOutcome:
    retry_at = None if error.retry_after is None else datetime.now(UTC) + timedelta(seconds=error.retry_after)
    return VersionOutcome(version, kind, str(error), retry_at)
