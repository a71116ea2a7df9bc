"""A demo stops on request, resumes, and delivers: the last test of the demo of ``test_demo`` and the browser tests."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from verifywise_mlflow_tests.demo.running_demo import RunningDemo, start_demo

pytestmark = [pytest.mark.slow(seconds=30), pytest.mark.timeout(600)]


def test_a_demo_stops_on_request_and_resumes_with_a_delivery(
    demo: RunningDemo, services_parent: Callable[[], Path]
) -> None:
    child_processes = psutil.Process(demo.process.pid).children(recursive=True)
    assert len(child_processes) > 4  # Postgres, MLflow and its worker, and Dagster's three

    demo.process.send_signal(signal.SIGTERM)

    assert demo.process.wait(60) == 0, demo.output
    assert_gone(child_processes)
    assert not (demo.home / "environment").exists()  # its password is no longer valid anywhere

    second_demo = start_demo(demo.home, "--once", "--deliver", parent=services_parent())
    output, _ = second_demo.communicate(timeout=300)
    assert second_demo.returncode == 0, output
    assert output.startswith("Resuming the demo")
    assert "Training" not in output
    assert "http://" not in output.partition("VerifyWise holds")[0], "it names pages of servers that it stops"
    assert "The servers stop. make demo starts them again" in output
    _, _, holdings = output.partition("VerifyWise holds for acme-bank:\n")
    assert [line.split() for line in holdings.splitlines() if line.startswith("fraud-detection")] == [
        ["fraud-detection", "1", "Pending", "gaps", "0", "1"],
        ["fraud-detection", "2", "Pending", "failing", "1", "1"],
    ]


def assert_gone(processes: list[psutil.Process]) -> None:
    """The watchdog and the last workers may take a moment."""
    deadline = time.monotonic() + 15
    while running := [process for process in processes if process.is_running() and process.status() != "zombie"]:
        assert time.monotonic() < deadline, running
        time.sleep(0.1)
