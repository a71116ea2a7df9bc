"""How the listings and files of one version are read: one after the other, or several at the same time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class MapInOrder(Protocol):
    """Calls a function for each item, possibly in several threads, and yields the results in the order of the items.

    Each item is taken from ``items`` when its call can begin. If a call raises, its exception is raised in place of its
    result.
    """

    def __call__(self, function: Callable[[T], R], items: Iterable[T], /) -> Iterator[R]:
        """Yield the results."""


def one_by_one(function: Callable[[T], R], items: Iterable[T], /) -> Iterator[R]:
    """Call the function for one item after the other."""
    return map(function, items)
