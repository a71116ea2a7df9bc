"""A hash worker that lies: the content selects a wrong, oversized or missing response."""

from __future__ import annotations

import os
import time

from verifywise_mlflow.artifacts.sandbox.lockdown import Protections
from verifywise_mlflow.artifacts.sandbox.protocol import WorkerChannel

RESPONSES = {
    b"another size": b"1 " + b"0" * 64,
    b"no hash": b"12 pffft",
    b"half a hash": b"11 0000",
    b"empty answer": b"",
    b"too long": b"0" * 1_000_000,
}


def main(memory_bytes: int, cpu_seconds: int) -> None:
    channel = WorkerChannel()
    channel.send_ready(Protections(("no-capabilities",), ("network",)))  # a false report
    while True:
        content = b"".join(bytes(chunk) for chunk in channel.iter_chunks())
        if content in RESPONSES:
            channel.send_response(RESPONSES[content])
        elif content == b"no frame":
            os.write(1, b"?" * 100)
        elif content == b"silence":
            time.sleep(60)
        elif content == b"good bye":
            os._exit(3)
        else:
            channel.send_response(b"%d " % len(content) + b"a" * 64)
