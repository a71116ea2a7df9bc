"""A parse worker that crashes or hangs when it reads files whose content names the attack."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping

from verifywise_mlflow.artifacts.environment.reproducibility import read_environment
from verifywise_mlflow.artifacts.manifest import RuntimeEnvironment
from verifywise_mlflow.artifacts.sandbox import parse_worker


def main(memory_bytes: int, cpu_seconds: int) -> None:
    parse_worker.read_environment = _read_environment  # type: ignore[attr-defined] # imported there, not exported
    parse_worker.main(memory_bytes, cpu_seconds)


def _read_environment(
    contents: Mapping[str, bytes], read_errors: Mapping[str, str] | None = None
) -> RuntimeEnvironment:
    for content in contents.values():
        if content == b"laughs: billions":
            unfolded = ["lol"]
            while True:
                unfolded += unfolded
        if content == b"regex: slow":
            while True:
                pass
        if content == b"pointer: null":
            ctypes.string_at(0)
    if len(contents) == 2 and b"deadly: together" in contents.values():
        ctypes.string_at(0)
    return read_environment(contents, read_errors)
