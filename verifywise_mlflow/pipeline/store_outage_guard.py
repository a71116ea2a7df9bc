"""Decides whether a model's folder without files was emptied or its artifact store is unavailable. Pure functions.

MLflow responds with an empty listing for a folder without files, for a folder that does not exist, and for a store that
is not mounted or misconfigured. If every empty listing were believed, one unmounted store would report lost files for
every version, and added files when it is back. So the readings of a sync are evaluated together, per store.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

STORE_LOOKS_UNAVAILABLE: Final = "the artifact store looks unavailable"


class FolderHistory(StrEnum):
    """What earlier readings show about a folder that lists no files now."""

    HAD_FILES = "had files"
    """The folder had files: they were removed, or the store is unavailable."""
    NEVER_READ = "never read"
    """No earlier reading counts. The first reading with files becomes the baseline."""
    WAS_EMPTY = "was empty"
    """An earlier reading had no files either and was not held back: nothing has changed."""


@dataclass(frozen=True, slots=True)
class StoreReading:
    """The numbers of folders in one store. Each folder counts once, even if several versions share it."""

    emptied: int
    """Folders that had files and list no files in this sync."""
    never_read: int
    """Folders that list no files at their first reading."""
    readable: int
    """Other folders of the store that had files when they were last read, in this sync or before."""


@dataclass(frozen=True, slots=True)
class OutageDecision:
    """Which of the empty folders of a store are held back."""

    holds_emptied: bool
    holds_never_read: bool

    def holds(self, history: FolderHistory) -> bool:
        """Return whether a folder with this history is held back."""
        match history:
            case FolderHistory.HAD_FILES:
                return self.holds_emptied
            case FolderHistory.NEVER_READ:
                return self.holds_never_read
            case FolderHistory.WAS_EMPTY:
                return False


def decide_outage(reading: StoreReading, confirms_empty: Callable[[], bool]) -> OutageDecision:
    """Return which empty folders are held back.

    Several folders that are emptied at once are held back until their files are back or a person accepts the loss: a
    store may be unavailable in part, and an event cannot be revoked. A single emptied folder becomes an event if the
    store is proven to be available. Folders that are empty at their first reading prove nothing. They are held back if
    most folders of their store are empty, so that an outage is not recorded as versions without files.

    Args:
        reading: the store's folders.
        confirms_empty: proves with requests that the store is available and that the folder is empty. It is called only
            if its result decides.
    """
    if reading.emptied > 1:
        return OutageDecision(holds_emptied=True, holds_never_read=True)
    if reading.never_read > 1 and reading.never_read > reading.readable:
        return OutageDecision(holds_emptied=reading.emptied > 0, holds_never_read=True)
    if not reading.emptied and not reading.readable:
        return OutageDecision(holds_emptied=False, holds_never_read=False)  # a single version: nothing to compare with
    is_doubtful = not confirms_empty()
    return OutageDecision(holds_emptied=is_doubtful, holds_never_read=is_doubtful)
