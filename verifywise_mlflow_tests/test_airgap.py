"""Nothing of ours, of Dagster's or of MLflow's leaves the machine: what watches for it, and what it sees.

``make airgap`` has a whole demo watched. Here is shown that the watcher sees what there is to be seen, also MLflow's
own telemetry where it is not switched off as the demo does.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from verifywise_mlflow.demo.process import child_environment
from verifywise_mlflow_tests.airgap import NO_NAMESPACE, REACHED_OUT

REPOSITORY = Path(__file__).parents[1]

ATTEMPTS = """
import socket
for family, kind, address in (
    (socket.AF_INET, socket.SOCK_STREAM, ("203.0.113.9", 443)),
    (socket.AF_INET6, socket.SOCK_STREAM, ("2001:db8::7", 443)),
    (socket.AF_INET, socket.SOCK_DGRAM, ("198.51.100.1", 123)),
):
    asking = socket.socket(family, kind)
    asking.settimeout(30)
    if asking.connect_ex(address) == 0:
        asking.send(b"are you there")
"""
AT_HOME = """
import socket
listening = socket.create_server(("127.0.0.1", 0))
asking = socket.create_connection(listening.getsockname())
asking.sendall(b"x" * 100_000)
socket.create_server(("::1", 0), family=socket.AF_INET6)
socket.socket(socket.AF_INET).connect_ex(("127.0.0.1", 9))
"""
A_CALL = """
import time
import mlflow
mlflow.set_tracking_uri("http://127.0.0.1:9")
try:
    mlflow.MlflowClient().create_experiment("churn")
except mlflow.MlflowException:
    pass
time.sleep(2)
"""
"""To a server that is not there: MLflow's client tells its makers of the call all the same."""


def watched(program: str, *, env: Mapping[str, str]) -> tuple[int, set[str]]:
    """Run a program with loopback only; return its exit code and what it tried to reach."""
    done = subprocess.run(
        [*(sys.executable, "-m", "verifywise_mlflow_tests.airgap"), *(sys.executable, "-c", program)],
        cwd=REPOSITORY,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == NO_NAMESPACE:
        pytest.skip(f"nothing is shown here: {done.stderr.strip()}")
    assert done.returncode in (0, REACHED_OUT), done.stderr
    said = "it tried to reach "
    return done.returncode, {line.removeprefix(said) for line in done.stderr.splitlines() if line.startswith(said)}


def test_each_attempt_to_reach_the_world_is_seen_and_named() -> None:
    assert watched(ATTEMPTS, env=os.environ) == (
        REACHED_OUT,
        {"tcp 203.0.113.9:443", "tcp [2001:db8::7]:443", "udp 198.51.100.1:123"},
    )


def test_what_stays_on_the_machine_is_no_attempt() -> None:
    assert watched(AT_HOME, env=os.environ) == (0, set())


@pytest.mark.parametrize("is_off", [False, True])
def test_mlflows_own_telemetry_is_seen_where_it_is_on_and_not_where_it_is_off(is_off: bool) -> None:
    # MLflow sends nothing where it believes that it is tested.
    env = {
        name: value for name, value in child_environment().items() if not name.startswith(("CI", "GITHUB", "PYTEST"))
    }
    env |= {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"} | ({"MLFLOW_DISABLE_TELEMETRY": "true"} if is_off else {})

    code, attempts = watched(A_CALL, env=env)

    names = {attempt for attempt in attempts if attempt.startswith("name ")}
    assert code == (0 if is_off else REACHED_OUT)
    assert any("mlflow-telemetry" in name for name in names) != is_off, attempts
