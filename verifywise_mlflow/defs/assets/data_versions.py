"""A data version per stage and tenant, so that an unchanged stage does not mark its descendants as out of date.

Dagster's default data version is the run's ID, so each sync would mark the descendants. Here, the data version is a
hash of the newest revision. It costs one read at the end of an index, and it changes only with the data, since the
store writes only changed rows.
"""

from __future__ import annotations

import hashlib
from datetime import datetime

import dagster as dg


def data_version(newest_write: int | datetime | None) -> dg.DataVersion:
    """Return the data version of a stage from a value that changes with each of its writes: see ``newest_write``."""
    newest = newest_write.isoformat() if isinstance(newest_write, datetime) else newest_write
    return dg.DataVersion(hashlib.sha256(str(newest).encode()).hexdigest()[:16])
