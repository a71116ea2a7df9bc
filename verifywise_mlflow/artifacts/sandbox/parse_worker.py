"""The worker that parses environment files and responds with the environment as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict

from verifywise_mlflow.artifacts.environment.reproducibility import read_environment
from verifywise_mlflow.artifacts.sandbox import protocol
from verifywise_mlflow.artifacts.sandbox.protocol import WorkerChannel
from verifywise_mlflow.artifacts.sandbox.worker_loop import serve

_SAMPLES: tuple[dict[str, bytes], ...] = tuple(
    {
        "MLmodel": b"flavors: {sklearn: {sklearn_version: 1.0}}\n",
        "conda.yaml": b"dependencies: [python=3.11.7, 'numpy>=2=x', {pip: ['a==1; python_version < \"4\"']}]",
        "python_env.yaml": b"python: '3.11'\nbroken: [",
        "requirements.txt": "numpy==2\nn @ https://u@h/n-1.0-py3-none-any.whl\n-e .\nä ö\n".encode(encoding),
    }
    for encoding in ("utf-8", "utf-16", "utf-32")
)
"""Files that are parsed before the lockdown: Python loads codecs at first use, and the lockdown prevents loading."""


def main(memory_bytes: int, cpu_seconds: int) -> None:
    """Parse the files of one version after another until the input ends."""
    for sample in _SAMPLES:
        json.dumps(asdict(read_environment(sample)))
    serve(lambda channel: read_environment(*_receive_files(channel)), memory_bytes, cpu_seconds)


def _receive_files(channel: WorkerChannel) -> tuple[dict[str, bytes], dict[str, str]]:
    contents: dict[str, bytearray] = {}
    read_errors: dict[str, str] = {}
    current = bytearray()
    while True:
        kind, payload = channel.receive_frame()
        if kind == protocol.END:
            return {name: bytes(content) for name, content in contents.items()}, read_errors
        if kind == protocol.DATA:
            current += payload
        elif kind == protocol.FILE:
            current = contents.setdefault(bytes(payload).decode(), bytearray())
        elif kind == protocol.READ_ERROR:
            name, _, reason = bytes(payload).decode().partition("\0")
            read_errors[name] = reason
