"""A data version per stage and tenant, so that an unchanged stage does not mark its descendants as out of date.

Dagster's default is the run's ID, with which each sync would mark them. A hash of the newest revision costs one read at
the end of an index, and the store writes only changed rows.
"""

from __future__ import annotations

import hashlib
from datetime import datetime

import dagster as dg


def data_version(newest_write: int | datetime | None) -> dg.DataVersion:
    """Return the data version of a stage from a value that changes with each of its writes: see ``newest_write``."""
    newest = newest_write.isoformat() if isinstance(newest_write, datetime) else newest_write
    return dg.DataVersion(hashlib.sha256(str(newest).encode()).hexdigest()[:16])
