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

pytestmark = [pytest.mark.slow(seconds=130), pytest.mark.timeout(600)]


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
        first_demo = start(home)
        assert first_demo.stdout is not None
        lines = []
        for line in first_demo.stdout:
            lines.append(line)
            if line.startswith("Press Ctrl-C"):
                break
        output = "".join(lines)
        child_processes = psutil.Process(first_demo.pid).children(recursive=True)
        query_output = query_in_second_terminal(output, home / "environment")
        assert "production-privacy-assessment" in query_output
        first_demo.send_signal(signal.SIGTERM)
        assert first_demo.wait(60) == 0, output
        assert output.startswith("Starting clean")
        assert "credit-scoring, version 3" in output
        assert [line.split() for line in lines if line.startswith("acme-bank  ")] == [
            ["acme-bank", "4", "7", "1", "4", "2", "0"]
        ]
        assert "fail: production-privacy-assessment" in output
        assert len(child_processes) > 4  # Postgres, MLflow and its worker, and Dagster's three
        assert_gone(child_processes)
        assert not (home / "environment").exists()  # its password opens nothing any more

        second_demo = start(home, "--once")
        output, _ = second_demo.communicate(timeout=300)
        assert second_demo.returncode == 0, output
        assert output.startswith("Resuming the demo")
        assert "Training" not in output
    finally:
        Workdir(home).clear()


def query_in_second_terminal(output: str, environment_file: Path) -> str:
    """Do what the demo says; it has to work in a shell that knows nothing of the project."""
    assert environment_file.stat().st_mode & 0o077 == 0
    _, _, instructions = output.partition("Or query it from another terminal:\n")
    load_command, query_command = instructions.splitlines()[:2]
    process = subprocess.run(
        ["/bin/sh", "-ec", f"{load_command}\n{query_command}"],
        env={"PATH": os.defpath},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


def assert_gone(processes: list[psutil.Process]) -> None:
    """The watchdog and the last workers may take a moment."""
    deadline = time.monotonic() + 15
    while running := [process for process in processes if process.is_running() and process.status() != "zombie"]:
        assert time.monotonic() < deadline, running
        time.sleep(0.1)
