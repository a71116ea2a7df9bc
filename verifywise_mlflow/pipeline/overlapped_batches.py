"""Overlaps computing with the database: while a batch is computed, the one before is written and the next one is read.

A batch is written in one transaction, which ends before the batch counts as done. At most three batches are in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import TypeVar

S = TypeVar("S")
"""The session of a transaction."""
D = TypeVar("D")
"""An item that is due."""
R = TypeVar("R")
"""The result of a batch."""


def overlapped_batches(
    begin: Callable[[], AbstractContextManager[S]],
    *,
    read: Callable[[S, D | None], Sequence[D]],
    compute: Callable[[Sequence[D]], R],
    write: Callable[[S, R], object],
) -> Iterator[R]:
    """Yield what was computed from each batch, once its transaction is committed.

    Args:
        begin: Opens a transaction.
        read: Returns the batch after an item, the first one after None, and none after the last one. It must not
            depend on what ``write`` has written of this batch and the one before. Runs in a thread of its own.
        compute: Returns what is to be written of a batch. Runs in the calling thread.
        write: Writes it. Runs in the thread of ``read``, in the same transaction.
    """

    def write_and_read(session: S, to_write: R | None, current: Sequence[D]) -> Sequence[D]:
        if to_write is not None:
            write(session, to_write)
        return read(session, current[-1]) if current else ()

    with begin() as session:
        batch = read(session, None)
    to_write: R | None = None
    while batch or to_write is not None:
        with begin() as session, ThreadPoolExecutor(1) as database:  # the thread ends before the transaction does
            next_batch = database.submit(write_and_read, session, to_write, batch)
            computed = compute(batch) if batch else None
            batch = next_batch.result()
        if to_write is not None:
            yield to_write
        to_write = computed
