"""What a connection needs to know, and the bounds it keeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar

from annotated_types import Gt, Le

from verifywise_mlflow.http.auth import Credentials, FixedHeaders

Seconds = Annotated[float, Gt(0), Le(86_400)]
Count = Annotated[int, Gt(0)]


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much of a server's time and ours its answers may take. A lying, flooding or dead server ends at these.

    A tenant's description may set each of them; this class is the only list of them.
    """

    __pydantic_config__: ClassVar[dict[str, object]] = {"extra": "forbid", "allow_inf_nan": False}

    connect_seconds: Seconds = 5.0
    """For each address that the server's name has."""
    probe_seconds: Seconds = 10.0
    """For the first question of a connection, which any living server answers at once."""
    request_seconds: Seconds = 60.0
    """From the request to the last byte of its answer, for one try. A busy MLflow takes ten for 500 runs."""
    file_seconds: Seconds = 1_800.0
    """The same for a file, which may be large."""
    token_seconds: Seconds = 10.0
    """For a token from its issuer, in one try."""
    token_bytes: Count = 64 * 1024
    """The issuer's answer, after decompression."""
    attempts: Count = 3
    """Tries a request gets in all, where trying again can help."""
    retry_seconds: Seconds = 20.0
    """No try of a request begins later than this after its first one."""
    connection_retry_seconds: Seconds = 120.0
    """What the failed tries of a connection, and the waits after them, may take in all: in a sync, of the sync."""
    failures_in_a_row: Count = 3
    """After so many requests that came to nothing (no answer, 429, 502 to 504) the server is left alone ..."""
    rest_seconds: Seconds = 30.0
    """... for so long. What is asked meanwhile fails at once."""
    requests_at_once: Count = 2
    """At one server, over all connections of this process. More only add latency on a small MLflow: measured."""
    answer_bytes: Count = 256 * 1024**2
    """One JSON answer, after decompression."""
    depth: Count = 64
    """Objects and lists within each other in one JSON answer."""
    pages: Count = 10_000
    """Pages of one listing."""
    rows: Count = 2_000_000
    """Rows of one listing."""


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """A forward proxy that everything for one tenant goes through.

    The proxy resolves the names of servers, so for a server behind a name only the proxy can refuse private
    addresses; its operator has to. Written-out private addresses are refused here.
    """

    uri: str
    """``http://host[:port]``, no credentials in it."""
    headers: Callable[[], Mapping[str, str]] = field(default=dict, repr=False)
    """What lets us through, for the proxy alone. Called when connections are opened."""
    allow_private_network: bool = False
    """Whether the proxy itself may have a private, loopback or link-local address."""


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
    proxy: ProxySettings | None = None
    bounds: Bounds = Bounds()
