"""A data version for each stage of each tenant, so that what did not change makes nothing after it look stale.

Dagster's default is the run's id: each sync would make all descendants look out of date. The hash of how many rows
there are and of the newest revision costs one small query; the store writes no row that did not change.
"""

from __future__ import annotations

import hashlib

import dagster as dg

from verifywise_mlflow.persistence.queries.stage_contents import StageState


def data_version(state: StageState) -> dg.DataVersion:
    """Return the data version of a stage's state."""
    newest = state.newest if state.newest is None or isinstance(state.newest, int) else state.newest.isoformat()
    return dg.DataVersion(hashlib.sha256(f"{state.rows}:{newest}".encode()).hexdigest()[:16])
