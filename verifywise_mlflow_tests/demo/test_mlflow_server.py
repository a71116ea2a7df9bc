"""The MLflow server: it owns its port, serves under its prefix, and reports why it fails."""

from __future__ import annotations

import http.server
import shutil
import threading
from pathlib import Path

import pytest
import urllib3

from verifywise_mlflow.demo.errors import ProcessFailedError
from verifywise_mlflow.demo.servers.mlflow_server import MlflowServer


class Healthy(http.server.BaseHTTPRequestHandler):
    """Some other server that says it is healthy."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  # the base class's name
        pass


@pytest.mark.slow(seconds=12)
def test_it_ignores_another_healthy_server_and_serves_under_its_prefix(tmp_path: Path, mlflow_template: Path) -> None:
    database = shutil.copyfile(mlflow_template, tmp_path / "mlflow.db")
    other = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Healthy)
    threading.Thread(target=other.serve_forever, daemon=True).start()
    with MlflowServer(
        backend_uri=f"sqlite:///{database}",
        artifacts=tmp_path / "artifacts",
        log=tmp_path / "log",
        arguments=["--static-prefix=/ml"],
        preferred_port=other.server_port,
    ) as server:
        assert server.port != other.server_port
        assert server.process.owns_port(server.port)
        version = urllib3.request("GET", f"{server.uri}/version", retries=False)
        assert (version.status, version.data[:2]) == (200, b"3.")
    other.shutdown()
    assert not server.process.is_alive()


def test_a_server_runs_as_the_given_program_and_shows_its_log_if_it_cannot_start(tmp_path: Path) -> None:
    other = tmp_path / "python"
    other.write_text('#!/bin/sh\necho "another Python: $1 $2 $3"\nexit 1\n')
    other.chmod(0o755)
    server = MlflowServer(
        backend_uri=f"sqlite:///{tmp_path}/mlflow.db",
        artifacts=tmp_path / "artifacts",
        log=tmp_path / "log",
        program=(other, "-m", "mlflow"),
    )
    message = r"(?s)ended while it was starting.*another Python: -m mlflow server"
    with pytest.raises(ProcessFailedError, match=message), server:
        pass
    assert not server.process.is_alive()
