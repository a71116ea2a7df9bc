"""Opens sockets as the settings say: to which addresses, through which proxy, with which TLS, how many at once.

Nothing of the machine's environment has a say: no proxy variable, no netrc, no SSL_CERT_FILE, no SSLKEYLOGFILE.
"""

from __future__ import annotations

import ssl
import threading
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

import certifi
from urllib3 import PoolManager, ProxyManager
from urllib3.util import parse_url

from verifywise_mlflow.http.deadlines import TimedHTTPConnectionPool, TimedHTTPSConnectionPool
from verifywise_mlflow.http.errors import UnusableSettingsError
from verifywise_mlflow.http.forward_proxy import (
    ForwardedPool,
    ForwardedPublicPool,
    TunnelledPool,
    TunnelledPublicPool,
    refuse_written_private_address,
)
from verifywise_mlflow.http.settings import ConnectionSettings
from verifywise_mlflow.http.ssrf_guard import PublicHTTPConnectionPool, PublicHTTPSConnectionPool


def open_pool(settings: ConnectionSettings) -> PoolManager:
    """Return a pool of connections for one server.

    Raises:
        RefusedAddressError: the server is to be reached through a proxy, at an address written out that is not public.
        UnusableSettingsError: a TLS file cannot be used.
    """
    # Not for a server without TLS: it takes its time.
    context = tls_context(settings) if urlsplit(settings.base_uri).scheme == "https" else None
    places = settings.bounds.requests_at_once
    proxy = settings.proxy
    if proxy is None:
        pool = PoolManager(maxsize=places, block=True, ssl_context=context)
        pool.pool_classes_by_scheme = (
            {"http": TimedHTTPConnectionPool, "https": TimedHTTPSConnectionPool}
            if settings.allow_private_network
            else {"http": PublicHTTPConnectionPool, "https": PublicHTTPSConnectionPool}
        )
        return pool
    if not settings.allow_private_network:
        refuse_written_private_address(parse_url(settings.base_uri).host or "")
    through = ProxyManager(
        proxy.uri, proxy_headers=dict(proxy.headers()), maxsize=places, block=True, ssl_context=context
    )
    through.pool_classes_by_scheme = (
        {"http": ForwardedPool, "https": TunnelledPool}
        if proxy.allow_private_network
        else {"http": ForwardedPublicPool, "https": TunnelledPublicPool}
    )
    return through


def tls_context(settings: ConnectionSettings) -> ssl.SSLContext:
    """Return what verifies the server, and shows it a certificate if there is one.

    Not ``ssl.create_default_context``: that one reads SSL_CERT_FILE and SSL_CERT_DIR, and writes the keys of every
    connection to SSLKEYLOGFILE.
    """
    if not settings.ca_bundle and not settings.client_certificate:
        return _context_of_the_system(_files_of_the_system())
    context = _context()
    if settings.ca_bundle:
        try:
            context.load_verify_locations(settings.ca_bundle)
        except OSError as error:
            raise UnusableSettingsError(
                f"the ca_bundle {settings.ca_bundle} cannot be used: {error.strerror}"
            ) from None
    else:
        _trust_the_system(context)
    if settings.client_certificate:
        try:
            # With a password, even an empty one, OpenSSL does not stop to ask the terminal for it.
            context.load_cert_chain(settings.client_certificate, settings.client_key, password="")
        except OSError as error:
            raise UnusableSettingsError(
                f"tls.client_certificate {settings.client_certificate} cannot be used with its key: {error.strerror}"
            ) from None
    return context


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


@lru_cache(maxsize=1)
def _context_of_the_system(files: tuple[tuple[str, int], ...]) -> ssl.SSLContext:  # noqa: ARG001  # a new one for others
    """Return what trusts the system's authorities and holds nothing of any tenant, so that tenants may share it.

    Reading the authorities takes 20 ms: for a poll of 500 tenants a minute, a sixth of a core.
    """
    context = _context()
    _trust_the_system(context)
    return context


def _files_of_the_system() -> tuple[tuple[str, int], ...]:
    """Return the system's authorities with the times at which they changed, in nanoseconds."""
    built_in = ssl.get_default_verify_paths()
    places = (Path(built_in.openssl_cafile), Path(built_in.openssl_capath))
    return tuple((str(place), place.stat().st_mtime_ns) for place in places if place.exists())


def _trust_the_system(context: ssl.SSLContext) -> None:
    """Trust the authorities where OpenSSL was built to look for them; without any, those that certifi brings."""
    built_in = ssl.get_default_verify_paths()
    file, directory = Path(built_in.openssl_cafile), Path(built_in.openssl_capath)
    if file.is_file() or directory.is_dir():
        context.load_verify_locations(
            str(file) if file.is_file() else None, str(directory) if directory.is_dir() else None
        )
    else:
        context.load_verify_locations(certifi.where())


_slots: WeakValueDictionary[tuple[str, int | None], threading.BoundedSemaphore] = WeakValueDictionary()
"""For as long as a connection has them: a port may be another server's later on."""
_slots_lock = threading.Lock()


def server_slots(settings: ConnectionSettings) -> threading.BoundedSemaphore:
    """Return what bounds the requests at one server over all connections of this process.

    Tenants may share a server (workspaces). The first connection to it says how many requests it takes at once.
    """
    parts = urlsplit(settings.base_uri)
    with _slots_lock:
        return _slots.setdefault(
            (parts.hostname or "", parts.port), threading.BoundedSemaphore(settings.bounds.requests_at_once)
        )
