"""A data version per stage and tenant, so that an unchanged stage does not mark its descendants as out of date.

Dagster's default is the run's ID, with which each sync would mark them. A hash of the newest revision costs one look at
the end of an index; the store writes no row that has not changed.
"""

from __future__ import annotations

import hashlib
from datetime import datetime

import dagster as dg


def data_version(newest_write: int | datetime | None) -> dg.DataVersion:
    """Return the data version of a stage, by what changes with each write of it: see ``newest_write``."""
    newest = newest_write.isoformat() if isinstance(newest_write, datetime) else newest_write
    return dg.DataVersion(hashlib.sha256(str(newest).encode()).hexdigest()[:16])
