"""Caches the keys of a bucket during a sync, as contiguous ranges of their sorted order. Pure.

A page of a listing has a thousand keys, and a model version has about six. So the listing for one version starts at the
version's folder and continues over the neighboring folders, which are then served from the cache. All versions of a
bucket cost about one request per thousand objects, in any order.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import attrgetter

from verifywise_mlflow.artifacts.stores.protocol import StoredObject

MAX_OBJECTS = 200_000
"""The maximum number of cached objects. They take about 60 MB, and are twice the limit of one folder. The oldest ranges
are evicted first."""


@dataclass(slots=True)
class _KeyRange:
    """All objects from ``start`` through ``end``."""

    start: str
    end: str | None
    """The last known key; null if no key follows in the bucket."""
    objects: list[StoredObject] = field(default_factory=list)

    def covers(self, key: str) -> bool:
        return self.start <= key and (self.end is None or key <= self.end)


@dataclass(frozen=True, slots=True)
class CachedListing:
    """The cached keys with a prefix."""

    objects: Sequence[StoredObject]
    resume: str | None
    """The key at which the listing has to continue; null if all keys are cached."""


class ListingCache:
    """The cached key ranges of one bucket."""

    def __init__(self, max_objects: int = MAX_OBJECTS) -> None:
        self._ranges: list[_KeyRange] = []
        self._max_objects = max_objects

    def lookup(self, folder: str) -> CachedListing:
        """Return the cached keys that begin with ``folder``, which ends with a slash or is empty."""
        key_range = self._at(folder)
        if key_range is None:
            return CachedListing((), folder)
        key = attrgetter("key")
        first = bisect_left(key_range.objects, folder, key=key)
        upper_bound = _first_key_after(folder)
        last = len(key_range.objects) if upper_bound is None else bisect_left(key_range.objects, upper_bound, key=key)
        is_whole = key_range.end is None or (upper_bound is not None and key_range.end >= upper_bound)
        return CachedListing(key_range.objects[first:last], None if is_whole else key_range.end)

    def add_page(self, start: str, objects: Sequence[StoredObject], *, is_last: bool) -> bool:
        """Add a page that was listed from ``start`` on.

        Returns:
            False if the page was not added: its keys are not sorted or begin before ``start``, or it is not the last
            page and has no new key.
        """
        new_objects = [item for item in objects if item.key > start]
        keys = [start, *(item.key for item in new_objects)]
        if [item.key for item in objects] != sorted(item.key for item in objects) or keys != sorted(set(keys)):
            return False
        if any(item.key < start for item in objects) or not (new_objects or is_last):
            return False
        key_range = self._ending_at(start)
        if key_range is None:
            key_range = _KeyRange(start, start, [item for item in objects if item.key == start])
            self._ranges.append(key_range)
        key_range.objects += new_objects
        key_range.end = None if is_last else new_objects[-1].key
        self._evict(key_range)
        return True

    def _at(self, key: str) -> _KeyRange | None:
        covering = [key_range for key_range in self._ranges if key_range.covers(key)]
        # of two overlapping ranges, the range that extends further
        return max(covering, key=lambda key_range: (key_range.end is None, key_range.end or ""), default=None)

    def _ending_at(self, key: str) -> _KeyRange | None:
        return next((key_range for key_range in self._ranges if key_range.end == key), None)

    def _evict(self, growing: _KeyRange) -> None:
        while sum(len(key_range.objects) for key_range in self._ranges) > self._max_objects:
            oldest = next((key_range for key_range in self._ranges if key_range is not growing), None)
            if oldest is not None:
                self._ranges.remove(oldest)
            else:
                # Keep the end, which has the folder that is being listed.
                growing.objects = growing.objects[-(self._max_objects * 3 // 4) :]
                growing.start = growing.objects[0].key


def _first_key_after(folder: str) -> str | None:
    """Return the first key that sorts after all keys below the folder; None for the empty folder."""
    return f"{folder[:-1]}0" if folder else None  # "0" is the character after the slash
