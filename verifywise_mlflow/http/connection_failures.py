"""The reasons of failed connections, as urllib3 and the system report them, but readable within a sentence."""

from __future__ import annotations

import urllib3

from verifywise_mlflow.http.tls import STRICT_HINT, violates_strict_rules


def failure_reason(error: BaseException) -> str:
    """Return why a connection failed, without the memory address that urllib3 puts first."""
    if isinstance(error, urllib3.exceptions.NewConnectionError | urllib3.exceptions.NameResolutionError):
        return str(error).partition(": ")[2] or "no connection"
    if isinstance(error, urllib3.exceptions.TimeoutError | TimeoutError):
        return "no response in time"
    if isinstance(error, urllib3.exceptions.IncompleteRead):
        return f"it ended after {error.partial:,} bytes"
    if isinstance(error, urllib3.exceptions.InvalidChunkLength | urllib3.exceptions.DecodeError):
        return "its body is not encoded as its headers say"  # the library's message repeats the server's text
    # A ProtocolError's arguments are a sentence and its cause; str() would show both in Python's notation.
    text = error.args[0] if error.args and isinstance(error.args[0], str) else str(error)
    if text.startswith(("Connection broken", "InvalidChunkLength")):
        return "the connection ended before it did"
    reason = " ".join(text.split())[:200]
    return f"{reason}. {STRICT_HINT}" if violates_strict_rules(error) else reason
