"""How many rows a statement, a transaction or a fetch has, so that memory does not grow with a tenant's registry.

Stages whose rows are large have batches of their own: ``CONTRIBUTING.md`` lists their constants.
"""

from __future__ import annotations

from typing import Final

ROWS_PER_BATCH: Final = 500
"""Rows of one statement or transaction: a killed process repeats at most one batch, and memory holds no more."""
MAX_BATCH_BYTES: Final = 2 * 1024**2
"""Canonical JSON of the rows of a transaction, unless a single row has more."""
ROWS_PER_FETCH: Final = 5_000
"""Rows that a cursor fetches at a time: otherwise the driver holds the whole result next to what is built from it."""
