"""The end of a sync is recorded although the interrupts of a canceled run are repeated."""

from __future__ import annotations

import os
import signal

import pytest
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._utils.interrupts import capture_interrupts, raise_interrupts_as

from verifywise_mlflow.defs.dagster_compat.run_processes import uninterrupted


def test_an_interrupt_waits_until_the_end_of_a_sync_is_recorded() -> None:
    steps = []

    with capture_interrupts(), raise_interrupts_as(DagsterExecutionInterruptedError):
        with uninterrupted():
            os.kill(os.getpid(), signal.SIGTERM)
            steps.append("recorded")
        with pytest.raises(DagsterExecutionInterruptedError):
            os.kill(os.getpid(), signal.SIGTERM)  # the next interrupt of the canceled run

    assert steps == ["recorded"]
