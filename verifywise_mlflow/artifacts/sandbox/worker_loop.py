"""The loop of a worker: lock down, then respond to one request after the other until the input ends."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

from verifywise_mlflow.artifacts.sandbox import protocol
from verifywise_mlflow.artifacts.sandbox.lockdown import lock_down
from verifywise_mlflow.artifacts.sandbox.protocol import WorkerChannel

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def serve(answer: Callable[[WorkerChannel], DataclassInstance], memory_bytes: int, cpu_seconds: int) -> None:
    """Answer requests within the limits.

    Args:
        answer: Receives a request and returns its response. All modules that it needs must be loaded: the lockdown
            prevents loading.
        memory_bytes: The limit on the address space of the process.
        cpu_seconds: The limit on the CPU time of the process, over all requests.
    """
    channel = WorkerChannel()
    channel.send_ready(lock_down(memory_bytes, cpu_seconds))
    while True:
        try:
            channel.send_response(json.dumps(asdict(answer(channel))).encode())
        except MemoryError:
            os._exit(protocol.OUT_OF_MEMORY_EXIT_STATUS)
