"""A bounded concurrent map: Databricks shows much of what we need only object by object."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from verifywise_mlflow.http.errors import HttpError, UnauthenticatedError

K = TypeVar("K")
T = TypeVar("T")


def map_concurrently(
    keys: Sequence[K], fetch: Callable[[K], T], max_concurrency: int
) -> Iterator[tuple[K, T | HttpError]]:
    """Yield each key with the object that ``fetch`` returned for it, or with its error, in the order of the keys.

    If the server stops responding, the client's circuit breaker opens, so that the remaining keys fail at once.

    Raises:
        UnauthenticatedError: the server refuses the credentials. No further requests are sent.
    """

    def fetch_or_error(key: K) -> T | HttpError:
        try:
            return fetch(key)
        except UnauthenticatedError:
            raise
        except HttpError as error:
            return error

    with ThreadPoolExecutor(max_concurrency) as pool:
        # map() cancels the remaining calls when one raises.
        yield from zip(keys, pool.map(fetch_or_error, keys), strict=True)
