"""Real servers for the tests of artifact stores, each on a free port of 127.0.0.1."""

from __future__ import annotations

import base64
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from verifywise_mlflow.demo.servers.ports import free_port
from verifywise_mlflow.demo.servers.process import ChildProcess, child_environment, wait_for_port

START_SECONDS = 60.0
AZURITE = Path(__file__).parents[3] / ".azurite" / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
"""Installed by ``make test``."""
AZURITE_ACCOUNT = "devstoreaccount1"
AZURITE_KEY = base64.b64encode(os.urandom(64)).decode()
"""The account key of this session's Azurite."""


@contextmanager
def s3_server(log: Path) -> Iterator[str]:
    """Yield the endpoint of moto's S3."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with _run_server("moto", command, port, log):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def gcs_server(log: Path) -> Iterator[str]:
    """Yield the endpoint of a Cloud Storage emulator."""
    port = free_port()
    command = [sys.executable, "-m", "gcp_storage_emulator", "start", "--host", "127.0.0.1", "--port", str(port)]
    with _run_server("gcp-storage-emulator", [*command, "--in-memory", "--quiet"], port, log):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def azure_server(log: Path) -> Iterator[str]:
    """Yield the endpoint of the blob service of Azurite's one account."""
    assert AZURITE.is_file(), "the tests of Azure need Azurite: `make azurite` installs it, and so does `make test`"
    port = free_port()
    command = [
        str(Path(sys.executable).with_name("node")),
        str(AZURITE),
        "--blobHost",
        "127.0.0.1",
        "--blobPort",
        str(port),
        "--inMemoryPersistence",
    ]
    accounts = {"AZURITE_ACCOUNTS": f"{AZURITE_ACCOUNT}:{AZURITE_KEY}"}
    with _run_server("Azurite", [*command, "--disableTelemetry"], port, log, accounts):
        yield f"http://127.0.0.1:{port}/{AZURITE_ACCOUNT}"


@contextmanager
def _run_server(
    name: str, command: Sequence[str], port: int, log: Path, variables: Mapping[str, str] | None = None
) -> Iterator[ChildProcess]:
    process = ChildProcess(name, command, log=log, env=child_environment(**(variables or {})))
    try:
        wait_for_port(process, port, seconds=START_SECONDS)
        yield process
    finally:
        process.stop()
