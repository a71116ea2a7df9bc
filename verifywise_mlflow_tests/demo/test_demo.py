"""The demo as a newcomer starts it: from nothing to the summary, resumed, and stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from verifywise_mlflow.demo.home import DemoHome

pytestmark = pytest.mark.timeout(600)


def start(home: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "verifywise_mlflow.demo", "--home", home, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1", "COLUMNS": "200"},
    )


def test_a_demo_starts_clean_stops_on_request_and_is_resumed(tmp_path: Path) -> None:
    home = tmp_path / ".demo"
    try:
        first = start(home)
        assert first.stdout is not None
        lines = []
        for line in first.stdout:
            lines.append(line)
            if line.startswith("Press Ctrl-C"):
                break
        told = "".join(lines)
        started = psutil.Process(first.pid).children(recursive=True)
        first.send_signal(signal.SIGTERM)
        assert first.wait(60) == 0, told
        assert told.startswith("Starting clean")
        assert "credit-scoring, version 3" in told
        assert [line.split() for line in lines if line.startswith("acme-bank  ")] == [
            ["acme-bank", "4", "7", "1", "4", "2", "0"]
        ]
        assert "fail: production-privacy-assessment" in told
        assert len(started) > 4  # Postgres, MLflow and its worker, and Dagster's three
        assert_gone(started)

        second = start(home, "--once")
        told, _ = second.communicate(timeout=300)
        assert second.returncode == 0, told
        assert told.startswith("Resuming the demo")
        assert "Training" not in told
    finally:
        DemoHome(home).clear()


def assert_gone(processes: list[psutil.Process]) -> None:
    """The watchdog and the last workers may take a moment."""
    deadline = time.monotonic() + 15
    while alive := [process for process in processes if process.is_running() and process.status() != "zombie"]:
        assert time.monotonic() < deadline, alive
        time.sleep(0.1)
