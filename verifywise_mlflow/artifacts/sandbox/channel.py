"""The inner end of the two pipes. It keeps one buffer, so memory does not grow with what is sent."""

from __future__ import annotations

import os
from collections.abc import Iterator
from io import FileIO

from verifywise_mlflow.artifacts.sandbox import frames
from verifywise_mlflow.artifacts.sandbox.lockdown import Protections


class Abandoned(Exception):  # noqa: N818 - no error: the product changed its mind
    """What was sent so far is to be forgotten."""


class Channel:
    """Reads frames from standard input, answers on standard output. To be made before the process locks itself in."""

    def __init__(self) -> None:
        self._in = FileIO(0, closefd=False)
        self._header = bytearray(frames.HEADER.size)
        self._payload = memoryview(bytearray(frames.MAX_INWARD_BYTES))

    def receive(self) -> tuple[int, memoryview]:
        """Wait for the next frame. Its payload is good until the one after; the process ends with its input.

        Raises:
            Abandoned: instead of that kind of frame.
        """
        self._fill(memoryview(self._header))
        kind, length = frames.HEADER.unpack(self._header)
        payload = self._payload[:length]
        self._fill(payload)
        if kind == frames.ABANDON:
            raise Abandoned
        return kind, payload

    def chunks(self) -> Iterator[memoryview]:
        """Give one file's bytes as they come, up to ``END``."""
        while True:
            kind, payload = self.receive()
            if kind == frames.END:
                return
            yield payload

    def say_ready(self, protections: Protections) -> None:
        """Tell what is in force."""
        lines = (" ".join(protections.in_force), " ".join(protections.refused))
        self._send(frames.READY, "\n".join(lines).encode())

    def answer(self, payload: bytes) -> None:
        """Give what was asked for."""
        self._send(frames.ANSWER, payload)

    def _fill(self, buffer: memoryview) -> None:
        filled = 0
        while filled < len(buffer):
            count = self._in.readinto(buffer[filled:])
            if not count:
                os._exit(0)  # Python's own way out asks for system calls that are refused by now
            filled += count

    def _send(self, kind: int, payload: bytes) -> None:
        left = memoryview(frames.HEADER.pack(kind, len(payload)) + payload)
        while left:
            left = left[os.write(1, left) :]
