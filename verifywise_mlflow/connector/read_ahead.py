"""Prefetch: while one object or page is processed, the next objects or pages are already being requested.

The number of reads ahead bounds the memory. The adaptive limit of the server (``http/adaptive_limit.py``) bounds the
requests in flight.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextvars import copy_context
from itertools import islice
from typing import Final, TypeVar

from verifywise_mlflow.http.errors import HttpError, UnauthenticatedError

K = TypeVar("K")
T = TypeVar("T")

_END: Final = object()


def read_ahead(keys: Iterable[K], read: Callable[[K], T], ahead: int) -> Iterator[tuple[K, T]]:
    """Yield each key with the result of ``read``, in the order of the keys.

    Args:
        keys: The keys of the objects to read.
        read: Called in other threads.
        ahead: The maximum number of keys that are read, or being read, in advance of the key that is processed.

    Raises:
        Exception: The error that ``read`` raised for the next key in order. No further read starts.
    """
    remaining = iter(keys)
    started = deque((key, _start(read, key)) for key in islice(remaining, ahead))
    while started:
        key, future = started.popleft()
        result = future.result()
        started.extend((later, _start(read, later)) for later in islice(remaining, 1))
        yield key, result


def read_each(keys: Iterable[K], read: Callable[[K], T], ahead: int) -> Iterator[tuple[K, T | HttpError]]:
    """Yield each key with the object that ``read`` returned for it, or with its error, in the order of the keys.

    If the server stops responding, the client's circuit breaker opens, so that the remaining keys fail at once.

    Raises:
        UnauthenticatedError: the server refuses the credentials. No further requests are sent.
    """

    def read_or_error(key: K) -> T | HttpError:
        try:
            return read(key)
        except UnauthenticatedError:
            raise
        except HttpError as error:
            return error

    return read_ahead(keys, read_or_error, ahead)


def pages_ahead(pages: Iterator[T]) -> Iterator[T]:
    """Yield the pages of a listing. While a page is processed, the next page is read, so two pages are in memory."""
    for _, page in read_ahead(iter(int, 1), lambda _: next(pages, _END), 1):
        if page is _END:
            return
        yield page  # type: ignore[misc]  # not the end


def in_background(read: Callable[[], T]) -> Future[T]:
    """Call ``read`` in a thread of its own; return the future of its result."""
    return _start(lambda _: read(), None)


def _start(read: Callable[[K], T], key: K) -> Future[T]:
    """Read in a daemon thread of its own, so that an interrupted sync does not wait for a slow server."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(read(key))
        except BaseException as error:  # noqa: BLE001 - raised by result() in the thread that waits
            future.set_exception(error)

    # The context has the parent span for the thread's requests, and the deadline that the calling thread has extended.
    threading.Thread(target=copy_context().run, args=(run,), name="read-ahead", daemon=True).start()
    return future
