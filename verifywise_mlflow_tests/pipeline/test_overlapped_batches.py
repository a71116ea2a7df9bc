"""While a batch is computed, the last batch is written and the next batch is read. A batch counts once committed."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from verifywise_mlflow.pipeline.forked_computation import is_forking_useful
from verifywise_mlflow.pipeline.overlapped_batches import overlapped_batches

ITEMS = (1, 2, 3, 4, 5)
TIMEOUT_S = 10


class Transactions:
    """Transactions of a list: what was written counts once its transaction has ended without an error."""

    def __init__(self) -> None:
        self.committed: list[int] = []
        self.count = 0

    @contextmanager
    def begin(self) -> Iterator[list[int]]:
        self.count += 1
        written: list[int] = []
        yield written
        self.committed += written


def read(_session: list[int], after: int | None) -> Sequence[int]:
    """Return the next two items."""
    return [item for item in ITEMS if after is None or item > after][:2]


def write(session: list[int], computed: Sequence[int]) -> Sequence[int]:
    session.extend(computed)
    return computed


def tenfold(batch: Sequence[int]) -> list[int]:
    return [item * 10 for item in batch]


def test_a_batch_is_yielded_in_order_and_once_it_is_committed() -> None:
    transactions = Transactions()
    batches = overlapped_batches(transactions.begin, read=read, compute=tenfold, write=write, full_batch=2)

    committed_counts = [(batch, len(transactions.committed)) for batch in batches]

    assert committed_counts == [([10, 20], 2), ([30, 40], 4), ([50], 5)]
    assert transactions.committed == [10, 20, 30, 40, 50]


@pytest.mark.skipif(not is_forking_useful(), reason="with one CPU, nothing is computed in another process")
def test_a_batch_is_written_and_the_next_one_read_while_another_is_computed() -> None:
    is_third_read = multiprocessing.get_context("fork").Event()

    def noted_read(session: list[int], after: int | None) -> Sequence[int]:
        if after == 4:
            is_third_read.set()
        return read(session, after)

    def compute(batch: Sequence[int]) -> list[int]:
        if batch[0] == 3:  # the third batch is read after the first batch is written
            assert is_third_read.wait(TIMEOUT_S)
        return tenfold(batch)

    batches = overlapped_batches(Transactions().begin, read=noted_read, compute=compute, write=write, full_batch=2)

    assert [*batches] == [[10, 20], [30, 40], [50]]


@pytest.mark.skipif(not is_forking_useful(), reason="with one CPU, nothing is computed in another process")
def test_several_batches_are_computed_in_one_other_process_and_a_small_one_in_this() -> None:
    def process(batch: Sequence[int]) -> int:
        assert batch
        return os.getpid()

    def processes(items: Sequence[int]) -> list[int]:
        return [
            *overlapped_batches(
                Transactions().begin,
                read=lambda _, after: [item for item in items if after is None or item > after][:2],
                compute=process,
                write=lambda _session, computed: computed,
                full_batch=2,
            )
        ]

    first, *others = processes(ITEMS)

    assert first != os.getpid()
    assert others == [first, first]
    assert processes(ITEMS[:1]) == [os.getpid()]


def test_an_error_keeps_what_is_committed() -> None:
    transactions = Transactions()

    def compute(batch: Sequence[int]) -> list[int]:
        if batch[0] == 5:
            raise ValueError("this batch cannot be computed")
        return tenfold(batch)

    with pytest.raises(ValueError, match="cannot be computed"):
        list(overlapped_batches(transactions.begin, read=read, compute=compute, write=write, full_batch=2))

    assert transactions.committed == [10, 20, 30, 40]


def test_without_items_there_is_one_transaction() -> None:
    transactions = Transactions()

    assert (
        list(overlapped_batches(transactions.begin, read=lambda *_: (), compute=tenfold, write=write, full_batch=2))
        == []
    )
    assert transactions.count == 1
