"""The program of the process that reads environment files and answers with the facts in them, as JSON."""

from __future__ import annotations

import json
import os
from dataclasses import asdict

from verifywise_mlflow.artifacts.environment.reproducibility import read_environment
from verifywise_mlflow.artifacts.sandbox import frames
from verifywise_mlflow.artifacts.sandbox.channel import Abandoned, Channel
from verifywise_mlflow.artifacts.sandbox.lockdown import lock_in

_SAMPLES: tuple[dict[str, bytes], ...] = tuple(
    {
        "MLmodel": b"flavors: {sklearn: {sklearn_version: 1.0}}\n",
        "conda.yaml": b"dependencies: [python=3.11.7, 'numpy>=2=x', {pip: ['a==1; python_version < \"4\"']}]",
        "python_env.yaml": b"python: '3.11'\nbroken: [",
        "requirements.txt": "numpy==2\nn @ https://u@h/n-1.0-py3-none-any.whl\n-e .\nä ö\n".encode(encoding),
    }
    for encoding in ("utf-8", "utf-16", "utf-32")
)
"""Python loads codecs and the like at first use, and nothing can be loaded from within."""


def main(memory_bytes: int, cpu_seconds: int) -> None:
    """Read the files of one version after another, until the input ends."""
    for sample in _SAMPLES:
        json.dumps(asdict(read_environment(sample)))
    channel = Channel()
    channel.say_ready(lock_in(memory_bytes, cpu_seconds))
    while True:
        try:
            contents, unreadable = _files(channel)
            channel.answer(json.dumps(asdict(read_environment(contents, unreadable))).encode())
        except Abandoned:
            continue
        except MemoryError:
            os._exit(frames.OUT_OF_MEMORY)


def _files(channel: Channel) -> tuple[dict[str, bytes], dict[str, str]]:
    contents: dict[str, bytearray] = {}
    unreadable: dict[str, str] = {}
    current = bytearray()
    while True:
        kind, payload = channel.receive()
        if kind == frames.END:
            return {name: bytes(content) for name, content in contents.items()}, unreadable
        if kind == frames.DATA:
            current += payload
        elif kind == frames.FILE:
            current = contents.setdefault(bytes(payload).decode(), bytearray())
        elif kind == frames.UNREADABLE:
            name, _, reason = bytes(payload).decode().partition("\0")
            unreadable[name] = reason
