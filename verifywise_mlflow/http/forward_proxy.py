"""Connections through a tenant's forward proxy, with the same deadlines and SSRF guard as without a proxy.

Only ``http://`` proxies are supported: for TLS inside TLS, urllib3 reads in a loop of its own that no deadline bounds.
Traffic to an https server is encrypted end to end in any case. The proxy's password is sent unencrypted, as with nearly
all proxies.
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

from verifywise_mlflow.http.connection_failures import failure_reason
from verifywise_mlflow.http.credential_echo import WITHHELD, echoes_credentials
from verifywise_mlflow.http.deadlines import (
    TimedHTTPConnection,
    TimedHTTPConnectionPool,
    TimedHTTPSConnection,
    TimedHTTPSConnectionPool,
)
from verifywise_mlflow.http.errors import (
    AddressNotAllowedError,
    GatewayError,
    HttpError,
    ProxyRefusedError,
    UnreachableError,
)
from verifywise_mlflow.http.response import excerpt
from verifywise_mlflow.http.ssrf_guard import PublicHTTPConnection, PublicHTTPSConnection, is_public

_HOW_TO_ALLOW = "If the tenant's proxy is meant to be there, set allow_private_network: true under proxy."
MAX_REASON_CHARACTERS = 100
_LOCAL_NAMES = {"localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback"}


def reject_literal_private_address(host: str) -> None:
    """Refuse a host that is itself a private address: the proxy would connect to it for us.

    Raises:
        AddressNotAllowedError: the host is a non-public address, or a name that always means this machine.
    """
    name = unquote(host).strip("[]").rstrip(".").lower()
    is_local = name in _LOCAL_NAMES or name.endswith(".localhost")
    address = _literal_address(name)
    if is_local or (address is not None and not is_public(address)):
        raise AddressNotAllowedError(
            f"{host} is a private, loopback or link-local address, requested through the tenant's proxy",
            "If the server is meant to be there, set allow_private_network: true for the tenant.",
        )


def _literal_address(host: str) -> str | None:
    try:
        return str(ipaddress.ip_address(host.partition("%")[0]))
    except ValueError:
        pass
    try:
        return socket.inet_ntoa(socket.inet_aton(host))  # 127.1, 0x7f000001 and 2130706433 are 127.0.0.1
    except (OSError, UnicodeError):
        return None


class _ProxiedConnection(HTTPConnection):
    """A connection whose errors name the proxy if the proxy is the cause."""

    _auth_headers: Mapping[str, str] = {}  # never mutated: each connection gets its own

    def _new_conn(self) -> socket.socket:
        try:
            return super()._new_conn()
        except (HTTPError, OSError) as error:
            raise UnreachableError(
                f"the tenant's proxy {self._proxy()} cannot be reached: {failure_reason(error)}"
            ) from None

    def _proxy(self) -> str:
        return f"{self.host}:{self.port}"


class _ForwardedConnection(_ProxiedConnection):
    """A plain HTTP request that the proxy forwards. Most of the proxy's refusals look like the server's responses.

    Only two kinds of refusals are recognized: status 407, and errors with Squid's own header. All other refusals count
    as responses of the server.
    """

    def putheader(self, header: str | bytes, *values: str | bytes) -> None:  # type: ignore[override]  # narrower
        """Remember the proxy's credentials, and send the header."""
        if isinstance(header, str) and header.lower() == "proxy-authorization":
            self._auth_headers = {header: str(values[0])}
        super().putheader(header, *values)  # type: ignore[arg-type]  # unchanged

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # urllib3 returns its own, too
        response = super().getresponse()
        if response.status == 407 or (response.status >= 400 and "X-Squid-Error" in response.headers):
            raise _refusal(self._proxy(), "the server", response.status, response.reason or "", self._auth_headers)
        return response


class _TunneledConnection(_ProxiedConnection, HTTPSConnection):
    """A CONNECT tunnel to the server's port; the proxy cannot read the traffic."""

    def set_tunnel(
        self, host: str, port: int | None = None, headers: Mapping[str, str] | None = None, scheme: str = "http"
    ) -> None:
        """Remember the proxy's credentials."""
        self._auth_headers = dict(headers or {})
        super().set_tunnel(host, port, headers, scheme)

    def _tunnel(self) -> None:
        proxy, target = self._proxy(), f"{self._tunnel_host}:{self._tunnel_port}"
        try:
            super()._tunnel()
        except TimeoutError:
            raise UnreachableError(
                f"the tenant's proxy {proxy} did not open a tunnel to {target} in time (connect_timeout_seconds)"
            ) from None
        except (OSError, http.client.HTTPException) as error:
            refusal = re.match(r"Tunnel connection failed: ([0-9]{3}) ?(.*)", str(error), re.DOTALL)
            if not refusal:
                raise UnreachableError(
                    f"the tenant's proxy {proxy} opened no tunnel to {target}: {failure_reason(error)}"
                ) from None
            raise _refusal(proxy, target, int(refusal[1]), refusal[2], self._auth_headers) from None


def _refusal(proxy: str, target: str, status: int, reason: str, auth_headers: Mapping[str, str]) -> HttpError:
    # A long reason is left out, not truncated: redaction comes later and does not recognize a part of a secret.
    quoted = excerpt(reason.encode()) if len(reason) <= MAX_REASON_CHARACTERS else "a long reason"
    response = f"{status}, {WITHHELD if echoes_credentials(reason, auth_headers) else quoted}"
    if status in {401, 407}:  # tinyproxy sends 401
        return ProxyRefusedError(
            f"the tenant's proxy {proxy} does not accept our credentials ({response}). Check username and "
            "password under proxy."
        )
    if status >= 500:
        return GatewayError(f"the tenant's proxy {proxy} cannot reach {target} ({response})")
    return ProxyRefusedError(
        f"the tenant's proxy {proxy} refuses connections to {target} ({response}). Ask its operator to allow it."
    )


class _Forwarded(_ForwardedConnection, TimedHTTPConnection):
    pass


class _ForwardedPublic(_ForwardedConnection, PublicHTTPConnection):
    how_to_allow: ClassVar[str] = _HOW_TO_ALLOW


class _Tunneled(_TunneledConnection, TimedHTTPSConnection):
    pass


class _TunneledPublic(_TunneledConnection, PublicHTTPSConnection):
    how_to_allow: ClassVar[str] = _HOW_TO_ALLOW


class ForwardedPool(TimedHTTPConnectionPool):
    """Connections to http servers through a proxy at any address."""

    ConnectionCls = _Forwarded


class ForwardedPublicPool(TimedHTTPConnectionPool):
    """Connections to http servers through a proxy at a public address."""

    ConnectionCls = _ForwardedPublic


class TunneledPool(TimedHTTPSConnectionPool):
    """Connections to https servers through a proxy at any address."""

    ConnectionCls = _Tunneled


class TunneledPublicPool(TimedHTTPSConnectionPool):
    """Connections to https servers through a proxy at a public address."""

    ConnectionCls = _TunneledPublic
