"""Connections through a tenant's forward proxy, with the same deadlines and addresses as without one.

Only proxies that are spoken to in plain HTTP: for a TLS connection within a TLS connection to the proxy, urllib3
reads in a loop of its own, in which no deadline holds. What goes to an https server is encrypted from end to end
either way; the password for the proxy is not, as with nearly all proxies.
"""

from __future__ import annotations

import http.client
import ipaddress
import re
import socket
from collections.abc import Mapping
from typing import ClassVar
from urllib.parse import unquote

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.response import HTTPResponse

from verifywise_mlflow.connector.responses import excerpt
from verifywise_mlflow.http.connection_failures import reason
from verifywise_mlflow.http.credential_echo import INSTEAD, repeats_a_secret
from verifywise_mlflow.http.deadlines import (
    TimedHTTPConnection,
    TimedHTTPConnectionPool,
    TimedHTTPSConnection,
    TimedHTTPSConnectionPool,
)
from verifywise_mlflow.http.errors import (
    ConnectorError,
    GatewayError,
    ProxyRefusedError,
    RefusedAddressError,
    UnreachableError,
)
from verifywise_mlflow.http.ssrf_guard import PublicHTTPConnection, PublicHTTPSConnection, is_public

_PERMISSION = "If the tenant's proxy is meant to be there, set allow_private_network: true under proxy."
_LOCAL_NAMES = {"localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback"}


def refuse_written_private_address(host: str) -> None:
    """Refuse a server whose address is written out and not public: the proxy would connect to it for us.

    Raises:
        RefusedAddressError: the host is an address that is not public, or a name that everywhere means this machine.
    """
    name = unquote(host).strip("[]").rstrip(".").lower()
    is_local = name in _LOCAL_NAMES or name.endswith(".localhost")
    address = _written_address(name)
    if is_local or (address is not None and not is_public(address)):
        raise RefusedAddressError(
            f"{host} is a private, loopback or link-local address, to be reached through the tenant's proxy. If the "
            "server is meant to be there, set allow_private_network: true for the tenant."
        )


def _written_address(host: str) -> str | None:
    try:
        return str(ipaddress.ip_address(host.partition("%")[0]))
    except ValueError:
        pass
    try:
        return socket.inet_ntoa(socket.inet_aton(host))  # 127.1, 0x7f000001 and 2130706433 are 127.0.0.1
    except (OSError, UnicodeError):
        return None


class _ThroughProxy(HTTPConnection):
    """Whatever goes wrong on the way to the proxy, and at it, is said to be the proxy's."""

    _let_in_by: Mapping[str, str] = {}  # never changed: each connection gets its own

    def _new_conn(self) -> socket.socket:
        try:
            return super()._new_conn()
        except (HTTPError, OSError) as error:
            raise UnreachableError(f"the tenant's proxy {self._proxy()} was not reached: {reason(error)}") from None

    def _proxy(self) -> str:
        return f"{self.host}:{self.port}"


class _ForwardedConnection(_ThroughProxy):
    """The proxy sends a plain HTTP request on. Most of its refusals cannot be told from those of the server.

    Two can: 407, and whatever bears Squid's mark. The others stay what they would be from the server.
    """

    def putheader(self, header: str | bytes, *values: str | bytes) -> None:  # type: ignore[override]  # fewer types
        """Remember what the proxy was told, and send it."""
        if isinstance(header, str) and header.lower() == "proxy-authorization":
            self._let_in_by = {header: str(values[0])}
        super().putheader(header, *values)  # type: ignore[arg-type]  # as it came

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # as in urllib3, which returns its own
        response = super().getresponse()
        if response.status == 407 or (response.status >= 400 and "X-Squid-Error" in response.headers):
            raise _refusal(self._proxy(), "the server", response.status, response.reason or "", self._let_in_by)
        return response


class _TunnelledConnection(_ThroughProxy, HTTPSConnection):
    """The proxy opens a way to the server's port and sees nothing of what goes through."""

    def set_tunnel(
        self, host: str, port: int | None = None, headers: Mapping[str, str] | None = None, scheme: str = "http"
    ) -> None:
        """Remember what the proxy will be told."""
        self._let_in_by = dict(headers or {})
        super().set_tunnel(host, port, headers, scheme)

    def _tunnel(self) -> None:
        proxy, target = self._proxy(), f"{self._tunnel_host}:{self._tunnel_port}"
        try:
            super()._tunnel()
        except TimeoutError:
            raise UnreachableError(
                f"the tenant's proxy {proxy} did not open a way to {target} in time (connect_seconds)"
            ) from None
        except (OSError, http.client.HTTPException) as error:
            answered = re.match(r"Tunnel connection failed: ([0-9]{3}) ?(.*)", str(error), re.DOTALL)
            if not answered:
                raise UnreachableError(
                    f"the tenant's proxy {proxy} opened no way to {target}: {reason(error)}"
                ) from None
            raise _refusal(proxy, target, int(answered[1]), answered[2], self._let_in_by) from None


def _refusal(proxy: str, target: str, status: int, words: str, let_in_by: Mapping[str, str]) -> ConnectorError:
    said = f"{status}, {INSTEAD if repeats_a_secret(words, let_in_by) else excerpt(words.encode())}"
    if status in {401, 407}:  # tinyproxy says 401
        return ProxyRefusedError(
            f"the tenant's proxy {proxy} does not accept us ({said}). Check username and password under proxy."
        )
    if status >= 500:
        return GatewayError(f"the tenant's proxy {proxy} cannot reach {target} ({said})")
    return ProxyRefusedError(
        f"the tenant's proxy {proxy} lets nobody through to {target} ({said}). Ask its operator to allow it."
    )


class _Forwarded(_ForwardedConnection, TimedHTTPConnection):
    pass


class _ForwardedPublic(_ForwardedConnection, PublicHTTPConnection):
    permission: ClassVar[str] = _PERMISSION


class _Tunnelled(_TunnelledConnection, TimedHTTPSConnection):
    pass


class _TunnelledPublic(_TunnelledConnection, PublicHTTPSConnection):
    permission: ClassVar[str] = _PERMISSION


class ForwardedPool(TimedHTTPConnectionPool):
    """To plain HTTP servers, through a proxy at any address."""

    ConnectionCls = _Forwarded


class ForwardedPublicPool(TimedHTTPConnectionPool):
    """To plain HTTP servers, through a proxy at a public address."""

    ConnectionCls = _ForwardedPublic


class TunnelledPool(TimedHTTPSConnectionPool):
    """To HTTPS servers, through a proxy at any address."""

    ConnectionCls = _Tunnelled


class TunnelledPublicPool(TimedHTTPSConnectionPool):
    """To HTTPS servers, through a proxy at a public address."""

    ConnectionCls = _TunnelledPublic
