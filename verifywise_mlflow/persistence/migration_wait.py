"""Waits for a migration: during an upgrade, processes of a new release may start before the schema is migrated."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final, TypeVar

from verifywise_mlflow.persistence.errors import LockTimeoutError, OutdatedSchemaError

MIGRATION_WAIT_SECONDS: Final = 600.0
"""How long workers and runs wait for a migration when they start."""
_POLL_SECONDS: Final = 1.0

T = TypeVar("T")


def await_migration(use_schema: Callable[[], T], wait_seconds: float) -> T:
    """Return what ``use_schema`` returns.

    While the schema is older than this code or missing, or a lock is not granted in time, call it again once a second.

    Raises:
        OutdatedSchemaError: the schema is still older or missing after ``wait_seconds``.
        LockTimeoutError: the lock was not granted by then.
        DatabaseError: the schema cannot be used for another reason.
    """
    deadline = time.monotonic() + wait_seconds
    is_announced = False
    while True:
        try:
            return use_schema()
        except (OutdatedSchemaError, LockTimeoutError) as error:
            if time.monotonic() >= deadline:
                if isinstance(error, OutdatedSchemaError) and wait_seconds > 0:
                    raise OutdatedSchemaError(f"{error}. Nobody did within {wait_seconds:g} s") from None
                raise
            if not is_announced:
                logging.getLogger(__name__).warning("waiting for up to %g s: %s", wait_seconds, error)
                is_announced = True
            time.sleep(min(_POLL_SECONDS, max(deadline - time.monotonic(), 0)))
