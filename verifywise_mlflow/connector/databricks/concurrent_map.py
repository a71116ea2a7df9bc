"""Asks for objects one at a time, a few at once: Databricks shows much of what we need only so."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from verifywise_mlflow.http.errors import HttpError, UnauthenticatedError

K = TypeVar("K")
T = TypeVar("T")


def map_concurrently(keys: Sequence[K], ask: Callable[[K], T], at_once: int) -> Iterator[tuple[K, T | HttpError]]:
    """Yield what was answered for each key, in their order: the object, or why it could not be read.

    A server that gives no answers is let be by the transport, so that the rest fails at once.

    Raises:
        UnauthenticatedError: the credentials are refused. Nothing more is asked then.
    """

    def answer(key: K) -> T | HttpError:
        try:
            return ask(key)
        except UnauthenticatedError:
            raise
        except HttpError as error:
            return error

    with ThreadPoolExecutor(at_once) as askers:
        # map() cancels what is left when one raises.
        yield from zip(keys, askers.map(answer, keys), strict=True)
