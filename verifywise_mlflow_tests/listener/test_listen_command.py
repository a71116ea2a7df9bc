"""``verifywise-mlflow listen`` as an operator starts and stops it."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from verifywise_mlflow.cli import app
from verifywise_mlflow.listener.outcomes import Outcome, Outcomes
from verifywise_mlflow_tests.listener.signing import headers_of, post, tag_event
from verifywise_mlflow_tests.support.documentation import read_page
from verifywise_mlflow_tests.support.running_listener import RunningListener, new_secrets, write_tenants


def test_it_receives_until_it_is_terminated_and_logs_no_secret(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    acme, body = new_secrets(), tag_event()
    write_tenants(tmp_path / "tenants.yaml", {"acme": acme}, monkeypatch)
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", database_url)
    command = [sys.executable, "-m", "verifywise_mlflow.cli", "listen", "--port", "0"]

    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        warning = process.stderr.readline()
        while not (started := re.search(r"webhooks of 1 tenant at http://127.0.0.1:(\d+)/", warning)):
            warning += process.stderr.readline()
        listener = RunningListener(int(started[1]))
        accepted = post(listener.address(acme), body, headers_of(acme.secret, body))
        forged = post(listener.address(acme), body, headers_of("another secret", body))
        process.send_signal(signal.SIGTERM)
        log = process.stderr.read()

    assert (accepted.status, forged.status) == (202, 401)
    assert "is a superuser, so it may read and write all tenants" in " ".join(warning.split())
    assert "a delivery to the path of acme has a wrong signature or none" in log
    assert process.returncode == 130
    assert not any(secret in warning + log for secret in (acme.path, acme.secret))


def test_a_port_that_is_taken_is_an_error(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tenants(tmp_path / "tenants.yaml", {"acme": new_secrets()}, monkeypatch)
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", database_url)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = CliRunner().invoke(app, ["listen", "--port", str(port)])

    assert result.exit_code == 1
    assert f"cannot listen on 127.0.0.1, port {port}: Address already in use" in " ".join(result.output.split())


def test_the_page_has_every_metric_and_every_outcome() -> None:
    page = read_page("how-to/observe.md")
    samples = set(re.findall(r"^# TYPE (\w+) ", Outcomes().exposition().decode(), re.MULTILINE))
    metrics = {name for name in samples if not name.endswith("_created")}

    assert metrics
    assert [name for name in metrics if f"| `{name}` |" not in page] == []
    assert [outcome for outcome in Outcome if f"`{outcome}`" not in page] == []
