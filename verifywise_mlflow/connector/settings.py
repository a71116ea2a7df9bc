"""What a connection needs to know, and the bounds it keeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path


def _no_headers() -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much of a server's time and ours one answer may take. A lying or flooding server ends at these."""

    connect_seconds: float = 5.0
    request_seconds: float = 120.0
    """From the first byte sent to the last byte received, retries apart. A busy MLflow takes ten for 500 runs."""
    file_seconds: float = 1_800.0
    """The same for a file, which may be large."""
    attempts: int = 3
    """Tries a request gets in all, where trying again can help."""
    retry_budget_seconds: float = 30.0
    """The longest that one request may wait between its tries, in all."""
    answer_bytes: int = 256 * 1024**2
    """One JSON answer, after decompression."""
    pages: int = 10_000
    """Pages of one listing."""


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """One MLflow server as one tenant sees it. Nothing of it comes from the process's environment."""

    base_uri: str
    """``http(s)://host[:port][/prefix]``, no credentials in it."""
    headers: Callable[[], Mapping[str, str]] = field(default=_no_headers, repr=False)
    """Returns the headers with credentials. Called when a connection opens, so that secrets are not kept elsewhere."""
    workspace: str | None = None
    allow_private_network: bool = False
    ca_bundle: Path | None = None
    client_certificate: Path | None = None
    client_key: Path | None = None
    bounds: Bounds = Bounds()
