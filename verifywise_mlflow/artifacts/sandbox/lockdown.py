"""A process gives up all it does not need, tries whether it is gone, and tells the truth about it.

Each step is put in force on its own. What the kernel or a container refuses is left out of the list, the rest goes on:
the product's audit trail says what a hash was computed under.
"""

from __future__ import annotations

import mmap
import os
import resource
import sys
from collections.abc import Callable, Iterator
from ctypes import CDLL
from dataclasses import dataclass
from errno import EPERM

ATTEMPTS = ("reading-files", "writing-files", "network", "new-processes", "other-programs")
"""What is tried from inside once all is in force. Each of them should be refused."""


@dataclass(frozen=True, slots=True)
class Protections:
    """What a process can no longer do, and by which means."""

    in_force: tuple[str, ...]
    """Stable words, in the order in which they were put in force."""
    refused: tuple[str, ...]
    """Those of ``ATTEMPTS`` that failed as they should."""


def lock_in(memory_bytes: int, cpu_seconds: int) -> Protections:
    """Give up this process's rights for good. What is to be imported or opened has to be so already."""
    in_force: list[str] = []
    for word, put_in_force in _steps(memory_bytes, cpu_seconds):
        try:
            put_in_force()
        except (OSError, ValueError):  # ValueError: how resource tells of a limit that the system does not take
            continue
        in_force.append(word)
    return Protections(tuple(in_force), tuple(_refused_attempts()))


def _steps(memory_bytes: int, cpu_seconds: int) -> list[tuple[str, Callable[[], object]]]:
    limits: list[tuple[str, Callable[[], object]]] = [
        ("memory-limit", lambda: _limit_memory(memory_bytes)),
        ("rlimits", lambda: _limit_the_rest(cpu_seconds)),
    ]
    if sys.platform != "linux":
        return limits
    # In here, because they do not import elsewhere; and all of them now, because nothing can be imported later.
    from verifywise_mlflow.artifacts.sandbox import linux_hardening, seccomp

    return [*linux_hardening.STEPS, *limits, ("seccomp", seccomp.install)]


def _limit_memory(memory_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    try:
        mmap.mmap(-1, memory_bytes).close()
    except OSError:
        return
    raise OSError("the system takes the limit and does not heed it")  # macOS


def _limit_the_rest(cpu_seconds: int) -> None:
    """No new descriptor can be opened after this, on any system: no file, no socket, no pipe."""
    bounds = {
        resource.RLIMIT_CPU: (cpu_seconds, cpu_seconds + 5),  # so that SIGXCPU comes first, and tells why
        resource.RLIMIT_CORE: (0, 0),  # a dump would put a customer's bytes on our disk
        resource.RLIMIT_FSIZE: (0, 0),
        resource.RLIMIT_NPROC: (0, 0),
        resource.RLIMIT_NOFILE: (0, 0),
    }
    for kind, bound in bounds.items():
        resource.setrlimit(kind, bound)
    if any(resource.getrlimit(kind) != bound for kind, bound in bounds.items()):
        raise OSError("a limit did not take")


def _refused_attempts() -> Iterator[str]:
    attempts = (_read_a_file, _write_a_file, _open_a_socket, _start_a_process, _run_a_program)
    for word, attempt in zip(ATTEMPTS, attempts, strict=True):
        try:
            attempt()
        except OSError:
            yield word


def _read_a_file() -> None:
    os.close(os.open("/", os.O_RDONLY))


def _write_a_file() -> None:
    os.close(os.open(os.devnull, os.O_WRONLY))


def _open_a_socket() -> None:
    if CDLL(None).socket(2, 2, 0) < 0:  # AF_INET, SOCK_DGRAM; Python's module for sockets takes long to import
        raise OSError


def _start_a_process() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


def _run_a_program() -> None:
    """Run nothing: a path that does not exist. Where no program may be run, the kernel does not get to see that."""
    try:
        os.execv("/nowhere/nothing", ["nothing"])  # noqa: S606 - the point is that it is refused
    except OSError as error:
        if error.errno == EPERM:
            raise
