"""A forked process computes with the values of this process, and leaves nothing behind however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import psutil  # type: ignore[import-untyped]  # its stubs are in a separate package
import pytest

from verifywise_mlflow.pipeline.forked_computation import (
    ComputingProcessLostError,
    ForkedComputation,
    InlineComputation,
    is_forking_useful,
)

pytestmark = pytest.mark.skipif(not is_forking_useful(), reason="with one CPU, nothing is computed in another process")


class DetailedError(Exception):
    """An error that cannot be rebuilt from its arguments."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code}: {text}")


def one_divided_by(number: int) -> int:
    return 1 // number


def negated(number: int) -> int:
    return -number


def wait_for_signal(_: int) -> None:
    signal.pause()


def test_it_computes_with_the_state_of_this_process_and_leaves_it_unchanged() -> None:
    state = {"factor": 3}

    def compute(number: int) -> int:
        state["factor"] += 1
        return number * state["factor"]

    with ForkedComputation(compute, 2) as computation:
        first = computation.result()
        computation.start(2)
        second = computation.result()

    assert (first, second, state["factor"]) == (8, 10, 3)


def test_an_error_is_raised_here_with_the_line_where_it_happened() -> None:
    with ForkedComputation(one_divided_by, 0) as computation:
        with pytest.raises(ZeroDivisionError) as caught:
            computation.result()
        computation.start(1)

        assert computation.result() == 1
    assert "1 // number" in caught.value.__notes__[0]


def test_an_error_that_does_not_survive_the_pipe_is_told_with_its_class() -> None:
    def compute(_: int) -> int:
        raise DetailedError(7, "too large")

    with (
        ForkedComputation(compute, 0) as computation,
        pytest.raises(RuntimeError, match="DetailedError: 7: too large") as caught,
    ):
        computation.result()
    assert 'raise DetailedError(7, "too large")' in caught.value.__notes__[0]


def test_a_killed_process_is_an_error_that_says_how_it_ended() -> None:
    def compute(_: int) -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return 0

    with ForkedComputation(compute, 0) as computation:
        with pytest.raises(ComputingProcessLostError, match="killed by SIGKILL"):
            computation.result()
        with pytest.raises(ComputingProcessLostError, match="killed by SIGKILL"):
            computation.start(0)


def test_no_process_is_left_if_this_one_stops_waiting() -> None:
    def wait() -> None:
        with ForkedComputation(wait_for_signal, 0):
            raise KeyboardInterrupt

    children = {child.pid for child in psutil.Process().children()}

    with pytest.raises(KeyboardInterrupt):
        wait()

    assert {child.pid for child in psutil.Process().children()} <= children


def test_no_process_is_left_if_this_one_is_killed() -> None:
    program = (
        "from verifywise_mlflow.pipeline.forked_computation import ForkedComputation\n"
        "import os, signal\n"
        "computation = ForkedComputation(abs, 1)\n"
        "print(computation._process.pid, flush=True)\n"
        "signal.pause()\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()

    child.wait(timeout=10)

    assert not child.is_running()


def test_inline_computation_has_the_same_interface() -> None:
    with InlineComputation(negated, -3) as computation:
        assert computation.result() == 3
