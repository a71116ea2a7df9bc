"""A parse worker that lies: the content of the first file selects a wrong, oversized or missing response."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, replace

from verifywise_mlflow.artifacts.environment.reproducibility import read_environment
from verifywise_mlflow.artifacts.sandbox import protocol
from verifywise_mlflow.artifacts.sandbox.lockdown import Protections
from verifywise_mlflow.artifacts.sandbox.protocol import WorkerChannel

_NOTHING = read_environment({})
RESPONSES = {
    b"no JSON": b"pffft",
    b"empty answer": b"",
    b"another file": json.dumps(asdict(replace(_NOTHING, sources=("/etc/passwd",)))).encode(),
    b"a contradiction": json.dumps(asdict(replace(_NOTHING, reproducible=True))).encode(),
    b"too long": b"0" * 10_000_000,
}


def main(memory_bytes: int, cpu_seconds: int) -> None:
    channel = WorkerChannel()
    channel.send_ready(Protections(("no-capabilities",), ("network",)))  # a false report
    while True:
        content = _receive(channel)
        if content in RESPONSES:
            channel.send_response(RESPONSES[content])
        elif content == b"no frame":
            os.write(1, b"?" * 100)
        elif content == b"silence":
            time.sleep(60)
        elif content == b"good bye":
            os._exit(3)
        else:
            channel.send_response(json.dumps(asdict(_NOTHING)).encode())


def _receive(channel: WorkerChannel) -> bytes:
    content = b""
    while True:
        kind, payload = channel.receive_frame()
        if kind == protocol.END:
            return content
        if kind == protocol.DATA:
            content += bytes(payload)
