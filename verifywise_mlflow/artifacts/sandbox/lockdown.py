"""Lockdown: a process gives up every right that it does not need, tests whether this worked, and reports the result.

Each step is independent. A step that the kernel or a container refuses is missing from the report, and the others
continue. The audit trail records the protections under which files were parsed and signatures verified.
"""

from __future__ import annotations

import mmap
import os
import resource
import sys
from collections.abc import Callable, Collection, Iterator
from ctypes import CDLL
from dataclasses import dataclass
from errno import EPERM
from typing import Literal, TypeAlias

ESCAPE_ATTEMPTS = ("reading-files", "writing-files", "network", "new-processes", "other-programs")
"""Actions that a locked-down process attempts as a test. The system should refuse each of them."""


Isolation: TypeAlias = Literal["required", "best_effort"]
"""``required``: untrusted files are parsed only if the kernel isolates the worker. ``best_effort``: they are always
parsed."""


@dataclass(frozen=True, slots=True)
class Protections:
    """The result of a lockdown."""

    in_force: tuple[str, ...]
    """Stable names of the protections, in the order in which they were applied."""
    refused: tuple[str, ...]
    """The ``ESCAPE_ATTEMPTS`` that failed as they should."""


def isolation_problem(in_force: Collection[str], refused: Collection[str]) -> str | None:
    """Return what a worker lacks to be isolated; None if it is isolated. Limits alone do not isolate a worker."""
    missing = [] if {"seccomp", "landlock"} & {*in_force} else ["neither seccomp nor Landlock is in force"]
    if "network" not in refused:
        missing.append("it can open connections")
    return " and ".join(missing) or None


def lock_down(memory_bytes: int, cpu_seconds: int) -> Protections:
    """Give up this process's rights permanently. Import and open everything before the call."""
    in_force: list[str] = []
    for name, apply_step in _steps(memory_bytes, cpu_seconds):
        try:
            apply_step()
        except (OSError, ValueError):  # ValueError: `resource` raises it for a limit that the system rejects
            continue
        in_force.append(name)
    return Protections(tuple(in_force), tuple(_refused_attempts()))


def _steps(memory_bytes: int, cpu_seconds: int) -> list[tuple[str, Callable[[], object]]]:
    limits: list[tuple[str, Callable[[], object]]] = [
        ("memory-limit", lambda: _limit_memory(memory_bytes)),
        ("rlimits", lambda: _limit_resources(cpu_seconds)),
    ]
    if sys.platform != "linux":
        return limits
    # Imported here, since these modules exist only on Linux. The first step prevents imports, so they precede it.
    from verifywise_mlflow.artifacts.sandbox import linux_hardening, seccomp

    return [*linux_hardening.STEPS, *limits, ("seccomp", seccomp.install)]


def _limit_memory(memory_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    try:
        mmap.mmap(-1, memory_bytes).close()
    except OSError:
        return
    raise OSError("the system accepts the limit but does not enforce it")  # macOS


def _limit_resources(cpu_seconds: int) -> None:
    """Set the other limits. After that, no descriptor can be opened on any system: no file, no socket, no pipe."""
    bounds = {
        resource.RLIMIT_CPU: (cpu_seconds, cpu_seconds + 5),  # SIGXCPU arrives before SIGKILL and names the cause
        resource.RLIMIT_CORE: (0, 0),  # a core dump would write a customer's bytes to our disk
        resource.RLIMIT_FSIZE: (0, 0),
        resource.RLIMIT_NPROC: (0, 0),
        resource.RLIMIT_NOFILE: (0, 0),
    }
    for kind, bound in bounds.items():
        resource.setrlimit(kind, bound)
    if any(resource.getrlimit(kind) != bound for kind, bound in bounds.items()):
        raise OSError("a limit was not applied")


def _refused_attempts() -> Iterator[str]:
    attempts = (
        _try_reading_a_file,
        _try_writing_a_file,
        _try_opening_a_socket,
        _try_starting_a_process,
        _try_running_a_program,
    )
    for name, attempt in zip(ESCAPE_ATTEMPTS, attempts, strict=True):
        try:
            attempt()
        except OSError:
            yield name


def _try_reading_a_file() -> None:
    os.close(os.open("/", os.O_RDONLY))


def _try_writing_a_file() -> None:
    os.close(os.open(os.devnull, os.O_WRONLY))


def _try_opening_a_socket() -> None:
    if CDLL(None).socket(2, 2, 0) < 0:  # AF_INET, SOCK_DGRAM. Python's socket module is slow to import.
        raise OSError


def _try_starting_a_process() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


def _try_running_a_program() -> None:
    """Run a path that does not exist. If exec is blocked, the kernel refuses before it looks at the path."""
    try:
        os.execv("/nowhere/nothing", ["nothing"])  # noqa: S606 - expected to be refused
    except OSError as error:
        if error.errno == EPERM:
            raise
