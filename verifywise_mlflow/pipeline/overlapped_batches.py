"""Overlaps computation with the database.

While a batch is computed, the previous batch is written and the next batch is read. A batch is written in one
transaction, and counts as done when the transaction has ended. At most three batches are in memory: the batch that is
computed, the results of the previous batch, and the next batch.
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
"""The result of a batch, which is to be written."""
W = TypeVar("W")
"""The result of writing a batch."""


def overlapped_batches(
    begin: Callable[[], AbstractContextManager[S]],
    *,
    read: Callable[[S, D | None], Sequence[D]],
    compute: Callable[[Sequence[D]], R],
    write: Callable[[S, R], W],
    full_batch: int,
) -> Iterator[W]:
    """Yield the written result of each batch, once its transaction is committed.

    Args:
        begin: Opens a transaction.
        read: Returns the batch after an item. For None, this is the first batch; for the last item, an empty batch. It
            must not depend on what ``write`` wrote for the two previous batches.
        compute: Returns the result of a batch. If there are several batches, it runs in a process of its own. So its
            result must be its only effect, and items and results must be picklable.
        write: Writes a result.
        full_batch: The number of items in a batch that is followed by other batches. A batch of fewer, larger items may
            be followed by other batches, too.
    """
    with begin() as session:
        batch = read(session, None)
    if batch and not (len(batch) >= full_batch and is_forking_useful()):
        computed = compute(batch)
        with begin() as session:
            written = write(session, computed)
            batch = read(session, batch[-1])
        yield written
    if not batch:
        return
    last = batch[-1]
    choice = ForkedComputation if is_forking_useful() else InlineComputation
    with choice(compute, batch) as computation:
        batch = ()  # drops this reference, so that only the computation refers to the batch
        with begin() as session:
            following = read(session, last)
        is_over = False
        while not is_over:
            computed = computation.result()
            is_over = not following
            if following:
                last = following[-1]
                computation.start(following)
                following = ()
            with begin() as session:
                written = write(session, computed)
                if not is_over:
                    following = read(session, last)
            yield written
