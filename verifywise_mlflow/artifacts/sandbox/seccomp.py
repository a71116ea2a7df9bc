"""The seccomp filter of a worker: it may read from one pipe, write to the other pipe, allocate memory, and exit.

The filter is written by hand: libseccomp's Python packages need libseccomp on the machine, and fifteen calls on two
architectures do not justify this dependency. Any call that is not allowed fails with EPERM before it reaches the
kernel's implementation. A 32-bit call ends the process, because the numbers have other meanings for 32-bit calls.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from errno import EPERM

from verifywise_mlflow.artifacts.sandbox.linux_hardening import prctl

ALLOW, KILL_PROCESS, REFUSE = 0x7FFF0000, 0x80000000, 0x00050000 | EPERM

_PR_SET_SECCOMP, _MODE_FILTER = 22, 2
_LOAD_WORD, _JUMP_IF_EQUAL, _JUMP_IF_ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_CALL, _ARCHITECTURE, _FIRST_ARGUMENT, _THIRD_ARGUMENT = 0, 4, 16, 32
"""Offsets in the kernel's ``struct seccomp_data``. The offset of an argument is the offset of its lower half on
little-endian machines."""
_PROT_EXEC = 0x4


@dataclass(frozen=True, slots=True)
class SystemCalls:
    """The numbers of the allowed calls on one architecture (from its ``asm/unistd.h``)."""

    architecture: int
    """``AUDIT_ARCH_…`` of ``linux/audit.h``."""
    read: int
    write: int
    mmap: int
    mprotect: int
    unrestricted: Mapping[str, int]
    """Calls that are allowed with any arguments, for the allocator, the clock and the exit."""


SYSTEM_CALLS: Mapping[str, SystemCalls] = {
    "x86_64": SystemCalls(
        architecture=0xC000003E,
        read=0,
        write=1,
        mmap=9,
        mprotect=10,
        unrestricted={
            "munmap": 11,
            "brk": 12,
            "mremap": 25,
            "madvise": 28,
            "rt_sigreturn": 15,
            "restart_syscall": 219,
            "futex": 202,
            "clock_gettime": 228,
            "getrandom": 318,
            "exit": 60,
            "exit_group": 231,
        },
    ),
    "aarch64": SystemCalls(
        architecture=0xC00000B7,
        read=63,
        write=64,
        mmap=222,
        mprotect=226,
        unrestricted={
            "munmap": 215,
            "brk": 214,
            "mremap": 216,
            "madvise": 233,
            "rt_sigreturn": 139,
            "restart_syscall": 128,
            "futex": 98,
            "clock_gettime": 113,
            "getrandom": 278,
            "exit": 93,
            "exit_group": 94,
        },
    ),
}


def filter_program(calls: SystemCalls) -> bytes:
    """Return the filter as classic BPF, 8 bytes per instruction."""
    program = [
        _instruction(_LOAD_WORD, _ARCHITECTURE),
        _instruction(_JUMP_IF_EQUAL, calls.architecture, 1, 0),
        _instruction(_RETURN, KILL_PROCESS),  # a 32-bit call, for which the numbers have other meanings
        _instruction(_LOAD_WORD, _CALL),
    ]
    for number in calls.unrestricted.values():
        program += [_instruction(_JUMP_IF_EQUAL, number, 0, 1), _instruction(_RETURN, ALLOW)]
    program += _check_argument(calls.read, _FIRST_ARGUMENT, _JUMP_IF_EQUAL, 0, hit=ALLOW, miss=REFUSE)
    program += _check_argument(calls.write, _FIRST_ARGUMENT, _JUMP_IF_EQUAL, 1, hit=ALLOW, miss=REFUSE)
    for number in (calls.mmap, calls.mprotect):  # memory, but not executable
        program += _check_argument(number, _THIRD_ARGUMENT, _JUMP_IF_ANY_BIT, _PROT_EXEC, hit=REFUSE, miss=ALLOW)
    return b"".join([*program, _instruction(_RETURN, REFUSE)])


def install() -> None:
    """Install the filter in this process, irrevocably.

    Raises:
        OSError: The kernel does not support filters, or this module has no call numbers for the architecture.
    """
    machine = os.uname().machine
    calls = SYSTEM_CALLS.get(machine)
    if calls is None or ctypes.sizeof(ctypes.c_void_p) != 8:
        raise OSError(f"no list of system calls for {machine}")
    program = ctypes.create_string_buffer(filter_program(calls))
    count = (len(program) - 1) // 8
    head = ctypes.create_string_buffer(struct.pack("@HP", count, ctypes.addressof(program)))
    prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.addressof(head))
    try:
        os.uname()
    except PermissionError:
        return
    raise OSError("a call that is not on the list still succeeds")


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _check_argument(call: int, argument: int, test: int, value: int, *, hit: int, miss: int) -> list[bytes]:
    return [
        _instruction(_JUMP_IF_EQUAL, call, 0, 4),
        _instruction(_LOAD_WORD, argument),
        _instruction(test, value, 0, 1),
        _instruction(_RETURN, hit),
        _instruction(_RETURN, miss),
    ]
