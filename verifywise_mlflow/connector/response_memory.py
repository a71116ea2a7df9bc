"""Bounds the memory of parsed responses over all threads of the process: one large response at a time.

A response takes up to ten times its size while it is parsed. The process that evaluates the sensors reads many servers
at once, so large responses are parsed one after the other. Only parsing waits for the lock, never a request. So no
server decides how long a thread holds the lock.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

LARGE_RESPONSE_BYTES: Final = 512 * 1024
"""A response beyond this size is parsed only while no other thread parses such a response."""


class ResponseMemory:
    """A lock for parsing large responses. A thread holds the lock until the end of its block."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread = threading.local()

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Release the lock at the end of the block, if it was claimed.

        A nested block releases the lock only if the block fails: its response is dropped, and another request may
        follow.
        """
        if getattr(self._thread, "is_in_block", False):
            try:
                yield
            except BaseException:
                self._release()
                raise
            return
        self._thread.is_in_block, self._thread.is_holder = True, False
        try:
            yield
        finally:
            self._thread.is_in_block = False
            self._release()

    def _release(self) -> None:
        if self._thread.is_holder:
            self._thread.is_holder = False
            self._lock.release()

    def claim(self, response_bytes: int) -> None:
        """Wait for the lock if a response is large; this thread then holds it until the end of its block."""
        if response_bytes > LARGE_RESPONSE_BYTES and self._thread.is_in_block and not self._thread.is_holder:
            self._lock.acquire()
            self._thread.is_holder = True


response_memory: Final = ResponseMemory()
"""The lock of this process."""
