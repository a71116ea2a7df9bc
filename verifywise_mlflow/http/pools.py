"""Connection pools, and the limits on concurrent requests that connections to one server share.

Connections stay open for further requests (keep-alive) until the client that opened the pool is closed.
The machine's environment is ignored: proxy variables, netrc, SSL_CERT_FILE, SSLKEYLOGFILE.
"""

from __future__ import annotations

import threading
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

from urllib3 import PoolManager, ProxyManager
from urllib3.util import parse_url

from verifywise_mlflow.http.adaptive_limit import AdaptiveLimit
from verifywise_mlflow.http.deadlines import TimedHTTPConnectionPool, TimedHTTPSConnectionPool
from verifywise_mlflow.http.forward_proxy import (
    ForwardedPool,
    ForwardedPublicPool,
    TunneledPool,
    TunneledPublicPool,
    reject_literal_private_address,
)
from verifywise_mlflow.http.library_logs import remove_queries_from_library_logs
from verifywise_mlflow.http.settings import ConnectionSettings
from verifywise_mlflow.http.ssrf_guard import PublicHTTPConnectionPool, PublicHTTPSConnectionPool
from verifywise_mlflow.http.tls import tls_context


def open_pool(settings: ConnectionSettings) -> PoolManager:
    """Return a pool of connections for one server.

    Raises:
        AddressNotAllowedError: the server is behind a proxy, and its URL contains an address that is not public.
        InvalidSettingsError: a TLS file cannot be used.
        SecretUnavailableError: the reference of the proxy's password cannot be resolved.
    """
    remove_queries_from_library_logs()
    # The context is loaded only for https servers, because loading is slow.
    context = tls_context(settings) if urlsplit(settings.base_uri).scheme == "https" else None
    max_connections = settings.limits.max_concurrent_requests
    proxy = settings.proxy
    if proxy is None:
        pool = PoolManager(maxsize=max_connections, block=True, ssl_context=context)
        pool.pool_classes_by_scheme = (
            {"http": TimedHTTPConnectionPool, "https": TimedHTTPSConnectionPool}
            if settings.allow_private_network
            else {"http": PublicHTTPConnectionPool, "https": PublicHTTPSConnectionPool}
        )
        return pool
    if not settings.allow_private_network:
        reject_literal_private_address(parse_url(settings.base_uri).host or "")
    proxied_pool = ProxyManager(
        proxy.uri, proxy_headers=dict(proxy.headers()), maxsize=max_connections, block=True, ssl_context=context
    )
    proxied_pool.pool_classes_by_scheme = (
        {"http": ForwardedPool, "https": TunneledPool}
        if proxy.allow_private_network
        else {"http": ForwardedPublicPool, "https": TunneledPublicPool}
    )
    return proxied_pool


_limits: WeakValueDictionary[tuple[str, int | None], AdaptiveLimit] = WeakValueDictionary()
"""Server to its limit. An entry exists only while a connection uses the limit, since a port may be reused."""
_limits_lock = threading.Lock()


def concurrency_limit(settings: ConnectionSettings) -> AdaptiveLimit:
    """Return the limit on concurrent requests to one server over all connections of this process.

    Tenants may share a server (workspaces).
    """
    parts = urlsplit(settings.base_uri)
    with _limits_lock:
        return _limits.setdefault((parts.hostname or "", parts.port), AdaptiveLimit())
