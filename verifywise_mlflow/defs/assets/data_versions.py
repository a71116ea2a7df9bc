"""A data version per stage and tenant, so that an unchanged stage does not mark its descendants as out of date.

Dagster's default is the run's ID, with which each sync would mark them. A hash of the row count and the newest revision
costs one small query; the store writes no row that has not changed.
"""

from __future__ import annotations

import hashlib

import dagster as dg

from verifywise_mlflow.persistence.queries.stage_queries import StageState


def data_version(state: StageState) -> dg.DataVersion:
    """Return the data version of a stage's state."""
    newest = state.newest if state.newest is None or isinstance(state.newest, int) else state.newest.isoformat()
    return dg.DataVersion(hashlib.sha256(f"{state.rows}:{newest}".encode()).hexdigest()[:16])
