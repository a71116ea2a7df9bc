"""Waits until an upgrade is blocked by open transactions."""

from __future__ import annotations

import time

from sqlalchemy import Engine, text

from verifywise_mlflow.persistence.database import SCHEMA_LOCK


def wait_for_a_blocked_upgrade(engine: Engine) -> None:
    """Return once a session waits for the schema's lock.

    Raises:
        AssertionError: none did within 60 seconds.
    """
    deadline = time.monotonic() + 60
    with engine.connect() as connection:
        while not connection.scalar(
            text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = :lock AND NOT granted"),
            {"lock": SCHEMA_LOCK},
        ):
            assert time.monotonic() < deadline
            time.sleep(0.05)
