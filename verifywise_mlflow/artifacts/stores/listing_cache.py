"""The keys of a bucket as far as a sync has listed them, kept as stretches of their sorted order. Pure.

A page of a listing holds a thousand keys, a model version some six. So a listing for one version begins at its
folder and goes on over its neighbours, and what is learnt of those answers for them later: all versions of a
bucket cost about a request for each thousand objects, in whatever order they are asked for.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import attrgetter

from verifywise_mlflow.artifacts.stores.protocol import StoredObject

MAX_OBJECTS = 200_000
"""So many are remembered: some 60 MB, and twice what one folder may hold. What was learnt first is forgotten first."""


@dataclass(slots=True)
class _Stretch:
    """All objects from ``start`` on, through ``end``."""

    start: str
    end: str | None
    """The last key that is known; null where nothing follows."""
    objects: list[StoredObject] = field(default_factory=list)

    def covers(self, key: str) -> bool:
        return self.start <= key and (self.end is None or key <= self.end)


@dataclass(frozen=True, slots=True)
class CachedListing:
    """What is known of the keys with a prefix."""

    objects: Sequence[StoredObject]
    resume: str | None
    """From which key on a listing has to go on; null where all are known."""


class ListingCache:
    """Stretches of one bucket's keys."""

    def __init__(self, max_objects: int = MAX_OBJECTS) -> None:
        self._stretches: list[_Stretch] = []
        self._max_objects = max_objects

    def lookup(self, folder: str) -> CachedListing:
        """Return what is known of the keys that begin with ``folder``, which ends with a slash or is empty."""
        stretch = self._at(folder)
        if stretch is None:
            return CachedListing((), folder)
        key = attrgetter("key")
        first = bisect_left(stretch.objects, folder, key=key)
        beyond = _beyond(folder)
        last = len(stretch.objects) if beyond is None else bisect_left(stretch.objects, beyond, key=key)
        is_whole = stretch.end is None or (beyond is not None and stretch.end >= beyond)
        return CachedListing(stretch.objects[first:last], None if is_whole else stretch.end)

    def add_page(self, start: str, objects: Sequence[StoredObject], *, is_last: bool) -> bool:
        """Take in a page that was listed from ``start`` on; return whether it tells anything new.

        Returns:
            False, and nothing is learnt, where the keys are not in their order or begin before ``start``, and where
            a page that is not the last one comes no farther.
        """
        fresh = [found for found in objects if found.key > start]
        keys = [start, *(found.key for found in fresh)]
        if [found.key for found in objects] != sorted(found.key for found in objects) or keys != sorted(set(keys)):
            return False
        if any(found.key < start for found in objects) or not (fresh or is_last):
            return False
        stretch = self._ending_at(start)
        if stretch is None:
            stretch = _Stretch(start, start, [found for found in objects if found.key == start])
            self._stretches.append(stretch)
        stretch.objects += fresh
        stretch.end = None if is_last else fresh[-1].key
        self._forget(stretch)
        return True

    def _at(self, key: str) -> _Stretch | None:
        found = [stretch for stretch in self._stretches if stretch.covers(key)]
        # Of two that overlap, the one that leads farther.
        return max(found, key=lambda stretch: (stretch.end is None, stretch.end or ""), default=None)

    def _ending_at(self, key: str) -> _Stretch | None:
        return next((stretch for stretch in self._stretches if stretch.end == key), None)

    def _forget(self, growing: _Stretch) -> None:
        while sum(len(stretch.objects) for stretch in self._stretches) > self._max_objects:
            oldest = next((stretch for stretch in self._stretches if stretch is not growing), None)
            if oldest is not None:
                self._stretches.remove(oldest)
            else:
                # The end is kept: the folder that is being listed lies there.
                growing.objects = growing.objects[-(self._max_objects * 3 // 4) :]
                growing.start = growing.objects[0].key


def _beyond(folder: str) -> str | None:
    """Return the first text that sorts after all that begin with the folder's name; null for the empty one."""
    return f"{folder[:-1]}0" if folder else None  # a nought follows the slash
