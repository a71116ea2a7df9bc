"""Computes batches in a forked process, since one Python process runs the Python code of one thread at a time.

The child has the parent's memory at the fork: compiled rules, the mapping, caches. It receives batches and returns
results through a pipe, writes nothing else and opens no connection.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Generic, Self, TypeVar

from verifywise_mlflow.common.malloc_arenas import release_free_memory

B = TypeVar("B")
R = TypeVar("R")


class ComputingProcessLostError(Exception):
    """The child process ended by itself. The message says how, and what to do."""


class InlineComputation(Generic[B, R]):
    """Computes in this process when ``result`` is called. It has the interface of ``ForkedComputation``."""

    def __init__(self, compute: Callable[[B], R], first: B) -> None:
        """Store the function that computes a batch, and the first batch."""
        self._compute, self._batch = compute, first

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def start(self, batch: B) -> None:
        """Store the next batch."""
        self._batch = batch

    def result(self) -> R:
        """Compute the batch."""
        return self._compute(self._batch)


class ForkedComputation(Generic[B, R]):
    """Computes one batch at a time in a child process. Use it as a context manager, which ends the process."""

    def __init__(self, compute: Callable[[B], R], first: B) -> None:
        """Fork the process, which begins to compute the first batch.

        Args:
            compute: Computes a batch. It may be any function, but later batches and all results must be picklable.
            first: The first batch.
        """
        release_free_memory()  # else the child would keep it
        context = multiprocessing.get_context("fork")
        self._connection, connection_of_child = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(compute, first, connection_of_child, self._connection), name="computation"
        )
        with warnings.catch_warnings():
            # Python 3.12 warns if other threads run: the child might wait for a lock that another thread held. The
            # child takes only locks of the interpreter and of malloc, which both reset their locks at a fork.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._process.start()
        connection_of_child.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()  # it has no state to save
        self._process.join()
        self._connection.close()

    def start(self, batch: B) -> None:
        """Begin to compute a batch. The result of the previous batch must have been returned.

        Raises:
            ComputingProcessLostError: The process has ended.
        """
        try:
            self._connection.send(batch)
        except OSError as error:  # a broken pipe
            raise self._lost() from error

    def result(self) -> R:
        """Wait for the batch and return its result.

        Raises:
            ComputingProcessLostError: The process has ended.
            Exception: The exception that the computation raised.
        """
        try:
            result, error = self._connection.recv()
        except (EOFError, OSError) as lost:
            raise self._lost() from lost
        if error is not None:
            raise error
        return result  # type: ignore[no-any-return]  # the pipe is not typed

    def _lost(self) -> ComputingProcessLostError:
        self._process.join(5)
        status = self._process.exitcode
        if status is not None and status < 0:
            how = f"was killed by {signal.Signals(-status).name}, often for want of memory"
        else:
            how = f"exited with status {status}"
        return ComputingProcessLostError(f"the process that computes {how}. What was committed stays: sync again")


def is_forking_useful() -> bool:
    """Return whether forking is safe, and a second process can compute while this process waits for the database."""
    return sys.platform == "linux" and len(os.sched_getaffinity(0)) > 1


def _serve(compute: Callable[[B], R], first: B, connection: Connection, connection_of_parent: Connection) -> None:
    connection_of_parent.close()  # so that the pipe ends with the parent
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this process
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # From here on, the garbage collector skips the parent's objects: visiting them would copy their memory pages.
    # A batch is freed as a whole, so one collection per batch is enough.
    gc.freeze()
    gc.disable()
    connection.send(_answer(compute, first))
    del first
    while True:
        gc.collect()
        try:
            answer = _answer(compute, connection.recv())
        except EOFError:
            return
        connection.send(answer)
        del answer


def _answer(compute: Callable[[B], R], batch: B) -> tuple[R | None, Exception | None]:
    try:
        return compute(batch), None
    except Exception as error:  # noqa: BLE001  # the parent raises it
        return None, _portable(error)


def _portable(error: Exception) -> Exception:
    """Return an error that survives the pipe, with its traceback as a note."""
    note = f"In the process that computes:\n{''.join(traceback.format_exception(error))}"
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301  # our own bytes
    except Exception:  # noqa: BLE001  # any class may refuse
        error = RuntimeError(f"{type(error).__name__}: {error}")
    error.add_note(note)
    return error
