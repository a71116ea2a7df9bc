"""Why a connection did not come about, in urllib3's and the system's words but fit for a sentence."""

from __future__ import annotations

import urllib3


def reason(error: BaseException) -> str:
    """Return the reason without the object's address in memory that urllib3 puts before it."""
    if isinstance(error, urllib3.exceptions.NewConnectionError | urllib3.exceptions.NameResolutionError):
        return str(error).partition(": ")[2] or "no connection"
    if isinstance(error, urllib3.exceptions.TimeoutError | TimeoutError):
        return "no answer in time"
    if isinstance(error, urllib3.exceptions.IncompleteRead):
        return f"it ended after {error.partial:,} bytes"
    # A ProtocolError carries a sentence and what it is about, and would show both as Python writes them.
    words = error.args[0] if error.args and isinstance(error.args[0], str) else str(error)
    if words.startswith("Connection broken"):
        return "the connection ended before it did"
    return " ".join(words.split())[:200]
