"""The SSRF guard: connections to public network addresses only, unless the tenant allows private addresses.

A tenant names its tracking server. Without ``allow_private_network``, this name must not lead into our own network. The
guard checks exactly the address that it then connects to. So DNS rebinding (a name that resolves to another address a
moment later) has no effect.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import ClassVar

from urllib3.util.connection import create_connection

from verifywise_mlflow.http.deadlines import (
    TimedHTTPConnection,
    TimedHTTPConnectionPool,
    TimedHTTPSConnection,
    TimedHTTPSConnectionPool,
)
from verifywise_mlflow.http.errors import AddressNotAllowedError

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
_NOT_PUBLIC = tuple(
    map(
        ipaddress.ip_network,
        (
            "192.0.0.0/24",  # RFC 6890
            "192.88.99.0/24",  # RFC 7526: anycast of 6to4 relays, which forward into networks of IPv6
            "168.63.129.16/32",  # Azure's platform: DNS, DHCP, health probes and the agent of the virtual machine
            "3fff::/20",  # RFC 9637
        ),
    )
)
"""Non-public networks that Python 3.11 reports as global."""


def is_public(address: str) -> bool:
    """Return whether an IP address is public: not private, loopback, link-local, multicast or reserved."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        # ::ffff:127.0.0.1, 64:ff9b::7f00:1 and 2002:7f00:1:: all contain 127.0.0.1.
        embedded = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _NAT64 else ip.ipv4_mapped or ip.sixtofour
        ip = embedded or ip
    # Python reports ::127.0.0.1, ::ffff:0:127.0.0.1 and fec0::1 as global; all assigned addresses lie in 2000::/3.
    if isinstance(ip, ipaddress.IPv6Address) and ip not in _GLOBAL_UNICAST:
        return False
    return ip.is_global and not ip.is_multicast and not any(ip in network for network in _NOT_PUBLIC)


def _connect_to_public(connection: PublicHTTPConnection | PublicHTTPSConnection) -> socket.socket:
    # In _dns_host, urllib3 has removed the brackets of an IPv6 host, as the resolver requires.
    try:
        resolved = socket.getaddrinfo(connection._dns_host, connection.port, type=socket.SOCK_STREAM)
    except UnicodeError:  # raised by the resolver's encoding for a name such as a..b
        raise OSError(f"{connection.host} is not a host name") from None
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in resolved))
    private = [address for address in addresses if not is_public(address)]
    if private:
        raise AddressNotAllowedError(
            f"{connection.host} is at {private[0]}, a private, loopback or link-local address",
            connection.how_to_allow,
        )
    last_error: OSError | None = None
    for address in addresses:
        try:
            return create_connection(
                (address, connection.port), connection.timeout, socket_options=connection.socket_options
            )
        except OSError as error:  # for example an IPv6 address on a machine without an IPv6 route
            last_error = error
    raise last_error or OSError(f"{connection.host} has no address")


_HOW_TO_ALLOW = "If the server is meant to be there, set allow_private_network: true for the tenant."


class PublicHTTPConnection(TimedHTTPConnection):
    """Connects to public addresses only."""

    how_to_allow: ClassVar[str] = _HOW_TO_ALLOW
    """The setting that allows private addresses, for the error."""

    def _new_conn(self) -> socket.socket:
        return _connect_to_public(self)


class PublicHTTPSConnection(TimedHTTPSConnection):
    """Connects to public addresses only."""

    how_to_allow: ClassVar[str] = _HOW_TO_ALLOW

    # TLS still verifies the host name: only the socket below it is replaced.
    def _new_conn(self) -> socket.socket:
        return _connect_to_public(self)


class PublicHTTPConnectionPool(TimedHTTPConnectionPool):
    """Connects to public addresses only."""

    ConnectionCls = PublicHTTPConnection


class PublicHTTPSConnectionPool(TimedHTTPSConnectionPool):
    """Connects to public addresses only."""

    ConnectionCls = PublicHTTPSConnection
