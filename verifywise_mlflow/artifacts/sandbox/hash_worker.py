"""The worker that hashes files. It knows no file format: bytes go through SHA-256 and nothing else.

Hashing has its own process, so that a hostile environment file that takes over the parser cannot affect the hashes.
"""

from __future__ import annotations

import hashlib
import sys

from verifywise_mlflow.artifacts.hashing import hash_stream
from verifywise_mlflow.artifacts.sandbox.lockdown import lock_down
from verifywise_mlflow.artifacts.sandbox.protocol import RequestCanceled, WorkerChannel


def main(memory_bytes: int, cpu_seconds: int) -> None:
    """Hash one file after another until the input ends."""
    hashlib.sha256(bytes(4096))  # OpenSSL reads its configuration at the first hash
    channel = WorkerChannel()
    channel.send_ready(lock_down(memory_bytes, cpu_seconds))
    while True:
        try:
            hashed = hash_stream(channel.iter_chunks(), sys.maxsize)  # the product enforces the size limit
        except RequestCanceled:
            continue
        assert hashed is not None
        channel.send_response(f"{hashed.size} {hashed.sha256}".encode())
