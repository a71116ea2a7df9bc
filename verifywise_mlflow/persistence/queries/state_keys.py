"""Which versions to compare with the log of states: those that the log has, a sample, and those that it lacks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sqlalchemy import text

from verifywise_mlflow.persistence.queries.state_rows import ROWS_PER_FETCH
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import SCHEMA

VERSION_TABLES: Final = (
    *("canonical_records", "canonical_record_history", "version_verdicts", "version_verdict_history"),
    *("compliance_badges", "compliance_badge_history", "artifact_manifests", "lifecycle_events", "integrity_events"),
)
"""The tables with states of versions."""

_LOGGED_KEYS: Final = text(
    f"""
    SELECT model_name, version_number, count(*) FROM {SCHEMA}.state_log WHERE tenant_id = :tenant_id
    GROUP BY model_name, version_number ORDER BY model_name, version_number
    """  # noqa: S608
).execution_options(yield_per=5_000)
_SAMPLE: Final = text(
    f"""
    SELECT model_name, version_number, count(*) FROM {SCHEMA}.state_log
    WHERE tenant_id = :tenant_id AND version_number > 0
    GROUP BY model_name, version_number
    ORDER BY sha256(convert_to(concat_ws('/', CAST(:seed AS text), model_name, version_number), 'UTF8')),
             model_name, version_number
    LIMIT :size
    """  # noqa: S608
)


def logged_keys(session: TenantSession) -> Iterator[tuple[Key, int]]:
    """Yield the versions that the log has, sorted by the bytes of their names, each with the number of its states.

    Number 0 stands for the model itself; number 0 with the name '' stands for states that belong to no model.
    """
    rows = session.execute(_LOGGED_KEYS, {"tenant_id": session.tenant_id})
    return (((name, number), count) for name, number, count in rows)


def sampled_keys(session: TenantSession, size: int, seed: str) -> list[tuple[Key, int]]:
    """Return versions for a sample: those with the lowest SHA-256 of seed, name and number, joined by slashes.

    So an auditor who chooses the seed knows which versions the sample must have.
    """
    rows = session.execute(_SAMPLE, {"tenant_id": session.tenant_id, "seed": seed, "size": size})
    return [((name, number), count) for name, number, count in rows]


def unlogged_keys(session: TenantSession, table: str) -> Iterator[Key]:
    """Yield the versions that have rows in a table, but no state in the log."""
    rows = session.execute(
        text(
            f"""
            SELECT DISTINCT model_name, coalesce(version_number, 0) FROM {SCHEMA}.{table} AS s
            WHERE tenant_id = :tenant_id AND NOT EXISTS (
                SELECT FROM {SCHEMA}.state_log AS l
                WHERE l.tenant_id = :tenant_id AND l.model_name = s.model_name
                  AND l.version_number = coalesce(s.version_number, 0)
            )
            """  # noqa: S608
        ).execution_options(yield_per=ROWS_PER_FETCH),
        {"tenant_id": session.tenant_id},
    )
    return ((name, number) for name, number in rows)
