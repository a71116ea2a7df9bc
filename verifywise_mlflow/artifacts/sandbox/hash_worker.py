"""The program of the process that hashes. It knows no file format: bytes go through SHA-256 and nothing else.

So files are hashed by a process that never parsed anything: what a hostile environment file could do to its parser does
not reach the hashes.
"""

from __future__ import annotations

import hashlib
import sys

from verifywise_mlflow.artifacts.hashing import hash_stream
from verifywise_mlflow.artifacts.sandbox.channel import Abandoned, Channel
from verifywise_mlflow.artifacts.sandbox.lockdown import lock_in


def main(memory_bytes: int, cpu_seconds: int) -> None:
    """Hash files, one after another, until the input ends."""
    hashlib.sha256(bytes(4096))  # OpenSSL looks for its configuration at the first hash
    channel = Channel()
    channel.say_ready(lock_in(memory_bytes, cpu_seconds))
    while True:
        try:
            hashed = hash_stream(channel.chunks(), sys.maxsize)  # the product counts, and stops at its limit
        except Abandoned:
            continue
        assert hashed is not None
        channel.answer(f"{hashed.size} {hashed.sha256}".encode())
