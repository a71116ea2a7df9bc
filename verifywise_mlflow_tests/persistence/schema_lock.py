"""Waits until an upgrade is blocked by open transactions."""

from __future__ import annotations

import time

from sqlalchemy import Engine, text

from verifywise_mlflow.persistence.tables import SCHEMA


def wait_for_a_blocked_upgrade(engine: Engine) -> None:
    """Return once a session waits for the schema's lock.

    Raises:
        AssertionError: no session waited within 60 seconds.
    """
    deadline = time.monotonic() + 60
    with engine.connect() as connection:
        while not connection.scalar(
            text(
                "SELECT count(*) FROM pg_locks WHERE relation = CAST(:table AS regclass) AND NOT granted"
                " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            ),
            {"table": f"{SCHEMA}.alembic_version"},
        ):
            assert time.monotonic() < deadline
            time.sleep(0.05)
