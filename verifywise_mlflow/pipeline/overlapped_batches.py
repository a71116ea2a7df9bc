"""Overlaps computing with the database: while a batch is computed, the one before is written and the next one is read.

A batch is written in one transaction, and counts as done when that has ended. At most three batches are in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TypeVar

from verifywise_mlflow.pipeline.forked_computation import ForkedComputation, InlineComputation, is_forking_useful

S = TypeVar("S")
"""The session of a transaction."""
D = TypeVar("D")
"""An item that is due."""
R = TypeVar("R")
"""The result of a batch."""
W = TypeVar("W")
"""What was written of a batch."""


def overlapped_batches(
    begin: Callable[[], AbstractContextManager[S]],
    *,
    read: Callable[[S, D | None], Sequence[D]],
    compute: Callable[[Sequence[D]], R],
    write: Callable[[S, Sequence[D], R], W],
) -> Iterator[W]:
    """Yield what was written of each batch, once its transaction is committed.

    Args:
        begin: Opens a transaction.
        read: Returns the batch after an item, the first one after None, and none after the last one. It must not
            depend on what ``write`` has written of the two batches before.
        compute: Returns what is to be written of a batch. If there is more than one batch, it runs in a process of its
            own, so it must not change anything that outlives it, and items and results have to be picklable.
        write: Writes it.
    """
    with begin() as session:
        batch = read(session, None)
        following = read(session, batch[-1]) if batch else ()
    choice = ForkedComputation if following and is_forking_useful() else InlineComputation
    with choice(compute) as computation:
        computation.start(batch)
        while batch:
            computed = computation.result()
            if following:
                computation.start(following)
            with begin() as session:
                written = write(session, batch, computed)
                after_next = read(session, following[-1]) if following else ()
            yield written
            batch, following = following, after_next
