"""Settings of one connection: address, credentials, TLS, proxy, and the limits on what a server may cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar

from annotated_types import Gt, Le

from verifywise_mlflow.http.request_auth import RequestAuthenticator, StaticHeaders
from verifywise_mlflow.http.sync_deadline import SyncDeadline

Seconds = Annotated[float, Gt(0), Le(86_400)]
Count = Annotated[int, Gt(0)]


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on the time and memory that a server's responses may take, so that no server can stall or flood a sync.

    The section ``limits`` of a tenant in ``tenants.yaml`` has these names. No other module lists the limits.
    """

    __pydantic_config__: ClassVar[dict[str, object]] = {"extra": "forbid", "allow_inf_nan": False}

    connect_timeout_seconds: Seconds = 5.0
    """The timeout for opening a connection to each address that the server's name resolves to."""
    probe_timeout_seconds: Seconds = 10.0
    """The timeout of the requests that a healthy server answers at once: ``server-info`` and ``version``."""
    sync_deadline_seconds: Seconds = 900.0
    """The time for which a sync may read a server. Then the sync ends as incomplete, and the next sync continues."""
    request_timeout_seconds: Seconds = 60.0
    """The timeout of one attempt, up to the response's last byte. A busy MLflow takes 10 s for 500 runs."""
    file_timeout_seconds: Seconds = 1_800.0
    """The timeout of one attempt to read a file, which may be large."""
    token_timeout_seconds: Seconds = 10.0
    """The timeout of one attempt to request an OAuth2 token from its issuer."""
    max_token_response_bytes: Count = 64 * 1024
    """The size limit of the token issuer's response, after decompression."""
    max_attempts: Count = 3
    """The maximum number of attempts of one request, including the first attempt, if the error is transient."""
    retry_deadline_seconds: Seconds = 20.0
    """The time after the start of the first attempt after which no further attempt starts."""
    retry_budget_seconds: Seconds = 120.0
    """The total time of a connection's failed attempts and the waits after them. A sync has one connection to
    MLflow."""
    breaker_threshold: Count = 3
    """The number of failed requests in a row (no response, 429, 502 to 504) that open the circuit breaker."""
    breaker_open_seconds: Seconds = 30.0
    """How long the circuit stays open. Until then, requests fail without being sent."""
    max_concurrent_requests: Count = 8
    """The maximum number of requests in flight to one server. Fewer requests are sent while the server would only make
    further requests wait."""
    max_response_bytes: Count = 16 * 1024**2
    """The size limit of one JSON response, after decompression. A page beyond it is requested with fewer rows."""
    max_values: Count = 500_000
    """The maximum number of JSON values in one response, counted before the response is parsed. A page beyond the limit
    is requested with fewer rows."""
    max_depth: Count = 64
    """The maximum nesting of objects and lists in one JSON response."""
    max_pages: Count = 10_000
    """The maximum number of pages in one listing."""
    max_rows: Count = 250_000
    """The maximum number of rows in one listing."""
    max_listing_bytes: Count = 128 * 1024**2
    """The memory that the rows of one listing may take as a whole. A sync has only two pages in memory at the same
    time, but everything that is read is also stored. Measured: 100,000 versions with 10 tags each take 190 MiB."""


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """A forward proxy for all requests of one tenant.

    The proxy resolves host names, so only the proxy can refuse a name with a private address. The operator of the proxy
    must configure this. A private address that a URL contains literally is refused here.
    """

    uri: str
    """``http://host[:port]``, without credentials."""
    headers: Callable[[], Mapping[str, str]] = field(default=dict, repr=False)
    """Returns the credentials that are only for the proxy. Called when connections are opened."""
    allow_private_network: bool = False
    """Whether the proxy itself may have a private, loopback or link-local address."""


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """The settings of one tenant's connection to one server. No setting comes from the process's environment."""

    base_uri: str
    """``http(s)://host[:port][/prefix]``, without credentials."""
    credentials: Callable[[], RequestAuthenticator] = field(default=StaticHeaders, repr=False)
    """Returns the credentials. Called when a connection opens, so that no other object stores secrets."""
    workspace: str | None = None
    """MLflow's workspace; only the MLflow client reads it."""
    allow_private_network: bool = False
    """Whether the server may have a private, loopback or link-local address."""
    ca_bundle: Path | None = None
    """PEM file of the certificate authorities to trust instead of the system's authorities."""
    client_certificate: Path | None = None
    client_key: Path | None = None
    tls_strict: bool = True
    """Whether certificates must follow RFC 5280 to the letter; see ``tls.py``. ``tls: {strict: …}`` of a tenant."""
    proxy: ProxySettings | None = None
    limits: Limits = Limits()
    deadline: SyncDeadline | None = None
    """The deadline of the sync that the connection belongs to; None for other connections."""
    redact: Callable[[str], str] = field(default=str, repr=False)
    """Redacts a server's text before a message quotes a part of it."""
