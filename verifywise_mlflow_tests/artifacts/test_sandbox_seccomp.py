"""The seccomp filter, run by a small BPF interpreter, so that it is tested for architectures other than this one."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifywise_mlflow.artifacts.sandbox.seccomp import (
    ALLOW,
    KILL_PROCESS,
    REFUSE,
    SYSTEM_CALLS,
    SystemCalls,
    filter_program,
)

MACHINES = list(SYSTEM_CALLS.values())
STDIN, STDOUT, READ_WRITE, EXECUTE = 0, 1, 3, 4


def verdict(calls: SystemCalls, number: int, arguments: Sequence[int] = (), architecture: int | None = None) -> int:
    """Return the kernel's verdict on a call. Only the instructions that the filter uses are implemented."""
    padded = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("=iIQ6Q", number, calls.architecture if architecture is None else architecture, 0, *padded)
    program = list(struct.iter_unpack("=HBBI", filter_program(calls)))
    accumulator = position = 0
    while True:
        code, if_true, if_false, value = program[position]
        position += 1
        if code == 0x20:
            accumulator = struct.unpack_from("=I", data, value)[0]
        elif code == 0x15:
            position += if_true if accumulator == value else if_false
        elif code == 0x45:
            position += if_true if accumulator & value else if_false
        else:
            assert code == 0x06
            return int(value)


@pytest.mark.parametrize("calls", MACHINES)
def test_a_worker_may_read_write_allocate_memory_and_exit(calls: SystemCalls) -> None:
    assert verdict(calls, calls.read, [STDIN]) == ALLOW
    assert verdict(calls, calls.write, [STDOUT]) == ALLOW
    assert verdict(calls, calls.mmap, [0, 4096, READ_WRITE]) == ALLOW
    assert verdict(calls, calls.mprotect, [0, 4096, READ_WRITE]) == ALLOW
    assert {verdict(calls, number) for number in calls.unrestricted.values()} == {ALLOW}


@pytest.mark.parametrize("calls", MACHINES)
def test_other_descriptors_and_executable_memory_are_refused(calls: SystemCalls) -> None:
    assert verdict(calls, calls.read, [STDOUT]) == REFUSE
    assert verdict(calls, calls.write, [STDIN]) == REFUSE
    assert verdict(calls, calls.write, [2]) == REFUSE
    assert verdict(calls, calls.mmap, [0, 4096, READ_WRITE | EXECUTE]) == REFUSE
    assert verdict(calls, calls.mprotect, [0, 4096, EXECUTE]) == REFUSE


@pytest.mark.parametrize("calls", MACHINES)
def test_a_call_of_another_architecture_kills_the_process(calls: SystemCalls) -> None:
    assert verdict(calls, calls.read, [STDIN], architecture=0x40000003) == KILL_PROCESS  # i386, where 0 is restart


@given(calls=st.sampled_from(MACHINES), number=st.integers(-(2**31), 2**31 - 1) | st.integers(0, 500))
def test_every_unlisted_call_is_refused(calls: SystemCalls, number: int) -> None:
    listed = {calls.read, calls.write, calls.mmap, calls.mprotect, *calls.unrestricted.values()}

    if number not in listed:
        assert verdict(calls, number) == REFUSE
