"""What a connection needs to know, and the bounds it keeps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from verifywise_mlflow.connector.credentials import Credentials, FixedHeaders


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much of a server's time and ours its answers may take. A lying, flooding or dead server ends at these."""

    connect_seconds: float = 5.0
    probe_seconds: float = 10.0
    """For the first question of a connection, which any living server answers at once."""
    request_seconds: float = 60.0
    """From the first byte sent to the last byte received, for one try. A busy MLflow takes ten for 500 runs."""
    file_seconds: float = 1_800.0
    """The same for a file, which may be large."""
    attempts: int = 3
    """Tries a request gets in all, where trying again can help."""
    retry_seconds: float = 20.0
    """No try of a request begins later than this after its first one."""
    connection_retry_seconds: float = 120.0
    """What the failed tries of a connection, and the waits after them, may take in all: in a sync, of the sync."""
    failures_in_a_row: int = 3
    """After so many requests without any answer the server is left alone ..."""
    rest_seconds: float = 30.0
    """... for so long. What is asked meanwhile fails at once."""
    requests_at_once: int = 2
    """At one server, over all connections of this process. More only add latency on a small MLflow: measured."""
    answer_bytes: int = 256 * 1024**2
    """One JSON answer, after decompression."""
    depth: int = 64
    """Objects and lists within each other in one JSON answer."""
    pages: int = 10_000
    """Pages of one listing."""
    rows: int = 2_000_000
    """Rows of one listing."""


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """One MLflow server as one tenant sees it. Nothing of it comes from the process's environment."""

    base_uri: str
    """``http(s)://host[:port][/prefix]``, no credentials in it."""
    credentials: Callable[[], Credentials] = field(default=FixedHeaders, repr=False)
    """Called when a connection opens, so that secrets are not kept elsewhere."""
    workspace: str | None = None
    allow_private_network: bool = False
    ca_bundle: Path | None = None
    client_certificate: Path | None = None
    client_key: Path | None = None
    bounds: Bounds = Bounds()
