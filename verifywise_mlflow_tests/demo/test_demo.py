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

from verifywise_mlflow.demo.workdir import Workdir

pytestmark = pytest.mark.timeout(600)


def start(home: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "verifywise_mlflow.demo", "--home", home, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1", "COLUMNS": "200"},
    )


def test_a_demo_starts_clean_stops_on_request_and_resumes(tmp_path: Path) -> None:
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
        asked = ask_in_another_terminal(told, home / "environment")
        assert "production-privacy-assessment" in asked
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
        assert not (home / "environment").exists()  # its password opens nothing any more

        second = start(home, "--once")
        told, _ = second.communicate(timeout=300)
        assert second.returncode == 0, told
        assert told.startswith("Resuming the demo")
        assert "Training" not in told
    finally:
        Workdir(home).clear()


def ask_in_another_terminal(told: str, environment_file: Path) -> str:
    """Do what the demo says; it has to work in a shell that knows nothing of the project."""
    assert environment_file.stat().st_mode & 0o077 == 0
    _, _, said = told.partition("Or query it from another terminal:\n")
    first, second = said.splitlines()[:2]
    asked = subprocess.run(
        ["/bin/sh", "-ec", f"{first}\n{second}"], env={"PATH": os.defpath}, capture_output=True, text=True, timeout=120
    )
    assert asked.returncode == 0, asked.stderr
    return asked.stdout


def assert_gone(processes: list[psutil.Process]) -> None:
    """The watchdog and the last workers may take a moment."""
    deadline = time.monotonic() + 15
    while alive := [process for process in processes if process.is_running() and process.status() != "zombie"]:
        assert time.monotonic() < deadline, alive
        time.sleep(0.1)
