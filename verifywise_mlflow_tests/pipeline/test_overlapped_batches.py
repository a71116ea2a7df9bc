"""While a batch is computed, the last one is written and the next one is read; a batch counts once it is committed."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

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


def write(session: list[int], computed: Sequence[int]) -> None:
    session.extend(computed)


def test_a_batch_is_yielded_in_order_and_once_it_is_committed() -> None:
    transactions = Transactions()
    batches = overlapped_batches(transactions.begin, read=read, compute=tuple, write=write)

    committed_counts = [(batch, len(transactions.committed)) for batch in batches]

    assert committed_counts == [((1, 2), 2), ((3, 4), 4), ((5,), 5)]
    assert transactions.committed == [*ITEMS]


def test_a_batch_is_written_and_the_next_one_read_while_another_is_computed() -> None:
    is_computing_second, is_third_read, is_first_written = (threading.Event() for _ in range(3))

    def slow_write(session: list[int], computed: Sequence[int]) -> None:
        if computed[0] == 1:
            assert is_computing_second.wait(TIMEOUT_S)
            is_first_written.set()
        write(session, computed)

    def noted_read(session: list[int], after: int | None) -> Sequence[int]:
        if after == 4:
            is_third_read.set()
        return read(session, after)

    def compute(batch: Sequence[int]) -> Sequence[int]:
        if batch[0] == 3:
            is_computing_second.set()
            assert is_first_written.wait(TIMEOUT_S)
            assert is_third_read.wait(TIMEOUT_S)
        return batch

    batches = overlapped_batches(Transactions().begin, read=noted_read, compute=compute, write=slow_write)

    assert [*batches] == [[1, 2], [3, 4], [5]]


def test_an_error_rolls_back_what_is_being_written_and_keeps_what_is_committed() -> None:
    transactions = Transactions()

    def compute(batch: Sequence[int]) -> Sequence[int]:
        if batch[0] == 5:
            raise ValueError("this batch cannot be computed")
        return batch

    with pytest.raises(ValueError, match="cannot be computed"):
        list(overlapped_batches(transactions.begin, read=read, compute=compute, write=write))

    assert transactions.committed == [1, 2]


def test_without_items_there_is_one_transaction() -> None:
    transactions = Transactions()

    assert list(overlapped_batches(transactions.begin, read=lambda *_: (), compute=tuple, write=write)) == []
    assert transactions.count == 1
