"""Limits on the rows of a statement, a transaction and a fetch, so that a large registry needs little memory.

Stages whose rows are large have batches of their own: ``CONTRIBUTING.md`` lists their constants.
"""

from __future__ import annotations

from typing import Final

ROWS_PER_BATCH: Final = 500
"""The maximum number of rows in a statement, or in a transaction that writes what was read. A process that was killed
repeats at most one such batch."""
MAX_BATCH_BYTES: Final = 2 * 1024**2
"""The maximum number of bytes of canonical JSON in such a transaction, unless a single row has more."""
ROWS_PER_FETCH: Final = 5_000
"""The number of rows that a cursor fetches in one request. Without such a limit, the driver holds the whole result in
memory, next to what is built from the result."""
