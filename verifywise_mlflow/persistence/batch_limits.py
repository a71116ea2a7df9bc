"""How many rows a statement, a transaction or a fetch has, so that a large registry needs little memory.

Stages whose rows are large have batches of their own: ``CONTRIBUTING.md`` lists their constants.
"""

from __future__ import annotations

from typing import Final

ROWS_PER_BATCH: Final = 500
"""The most rows of one statement, or of one transaction that writes what was read: a killed process repeats at most one
such batch."""
MAX_BATCH_BYTES: Final = 2 * 1024**2
"""The most bytes of canonical JSON in such a transaction, unless a single row has more."""
ROWS_PER_FETCH: Final = 5_000
"""Rows that a cursor fetches at a time: otherwise the driver holds the whole result next to what is built from it."""
