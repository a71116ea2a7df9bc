"""The wire protocol between the product and its sandbox workers. A frame has a kind, a length and a payload.

Workers use ``WorkerChannel``, the inner end of the two pipes. The outer end is ``worker_process.Worker``.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from io import FileIO

from verifywise_mlflow.artifacts.manifest import ModelSignature
from verifywise_mlflow.artifacts.sandbox.lockdown import Protections

HEADER = struct.Struct("<BI")

DATA = 1
"""To the worker: bytes of the current file."""
END = 2
"""To the worker: the request is complete, respond now."""
FILE = 3
"""To the worker: the name of an environment file whose bytes follow."""
READ_ERROR = 4
"""To the worker: the name of an environment file that could not be read, a NUL, and the reason."""
READY = 5
"""From the worker, once, before it reads anything untrusted: protections in force, a line feed, refused attempts."""
RESPONSE = 6
"""From the worker: the response to a request."""

MAX_FRAME_BYTES = 1024 * 1024
"""The maximum number of bytes in the payload of one frame. The product splits longer chunks."""

OUT_OF_MEMORY_EXIT_STATUS = 77
"""Exit status of a worker that caught a ``MemoryError`` at its memory limit."""


@dataclass(frozen=True, slots=True)
class SignatureRequest:
    """The data that our own process sends with a signature bundle. The worker can trust them."""

    path: str
    """Path of the bundle; with ``../`` if it is next to the model's folder."""
    files: Mapping[str, str | None]
    """Every file of the model with its SHA-256; None if the file was not hashed."""
    public_keys: tuple[str, ...]
    """PEM."""
    authorities: tuple[str, ...]
    now: float
    """Unix time in seconds."""


@dataclass(frozen=True, slots=True)
class SignatureEvidence:
    """The parts of a bundle that a worker found valid, in Base64. The product confirms the signature with them."""

    payload: str
    signature: str
    certificates: tuple[str, ...]
    """Certificates in Base64, with the signer's own certificate first; empty if a key made the signature."""


@dataclass(frozen=True, slots=True)
class SignatureResponse:
    """A worker's result for a bundle."""

    signature: ModelSignature
    evidence: SignatureEvidence | None
    """Set if the status is ``valid``."""


class WorkerChannel:
    """Reads frames from standard input and writes to standard output. It uses one buffer, so memory does not grow.

    Create it before the process locks itself down.
    """

    def __init__(self) -> None:
        self._in = FileIO(0, closefd=False)
        self._header = bytearray(HEADER.size)
        self._payload = memoryview(bytearray(MAX_FRAME_BYTES))

    def receive_frame(self) -> tuple[int, memoryview]:
        """Return the next frame. Its payload is valid until the next call. At the end of input, exit the process."""
        self._fill(memoryview(self._header))
        kind, length = HEADER.unpack(self._header)
        payload = self._payload[:length]
        self._fill(payload)
        return kind, payload

    def send_ready(self, protections: Protections) -> None:
        """Report the protections in force."""
        lines = (" ".join(protections.in_force), " ".join(protections.refused))
        self._send(READY, "\n".join(lines).encode())

    def send_response(self, payload: bytes) -> None:
        """Send the response to the current request."""
        self._send(RESPONSE, payload)

    def _fill(self, buffer: memoryview) -> None:
        filled = 0
        while filled < len(buffer):
            count = self._in.readinto(buffer[filled:])
            if not count:
                os._exit(0)  # a regular exit would need system calls that are blocked by now
            filled += count

    def _send(self, kind: int, payload: bytes) -> None:
        unsent = memoryview(HEADER.pack(kind, len(payload)) + payload)
        while unsent:
            unsent = unsent[os.write(1, unsent) :]
