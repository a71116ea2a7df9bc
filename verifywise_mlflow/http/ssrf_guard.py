"""Which network addresses may be contacted.

A tenant names its tracking server; without ``allow_private_network`` that must not become a way into
our own network. The check is made on the address that is then connected to, not on the name before,
so a name that resolves differently a moment later gains nothing.
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
from verifywise_mlflow.http.errors import RefusedAddressError

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
# RFC 6890 and RFC 9637; Python 3.11 takes some of their addresses for public ones.
_NOT_PUBLIC = (ipaddress.ip_network("192.0.0.0/24"), ipaddress.ip_network("3fff::/20"))


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet: not private, loopback, link-local, multicast or reserved."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        # ::ffff:127.0.0.1, 64:ff9b::7f00:1 and 2002:7f00:1:: are all ways to write 127.0.0.1.
        within = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _NAT64 else ip.ipv4_mapped or ip.sixtofour
        ip = within or ip
    # ::127.0.0.1, ::ffff:0:127.0.0.1 and fec0::1 pass for global; all that is assigned lies in one network.
    if isinstance(ip, ipaddress.IPv6Address) and ip not in _GLOBAL_UNICAST:
        return False
    return ip.is_global and not ip.is_multicast and not any(ip in network for network in _NOT_PUBLIC)


def _connect_to_public(connection: PublicHTTPConnection | PublicHTTPSConnection) -> socket.socket:
    # urllib3 gives an IPv6 host with its brackets off in _dns_host, which is what the resolver wants.
    try:
        found = socket.getaddrinfo(connection._dns_host, connection.port, type=socket.SOCK_STREAM)
    except UnicodeError:  # what the resolver's encoding says to a..b
        raise OSError(f"{connection.host} is no host name") from None
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    refused = [address for address in addresses if not is_public(address)]
    if refused:
        raise RefusedAddressError(
            f"{connection.host} is at {refused[0]}, a private, loopback or link-local address. {connection.permission}"
        )
    unreachable: OSError | None = None
    for address in addresses:
        try:
            return create_connection(
                (address, connection.port), connection.timeout, socket_options=connection.socket_options
            )
        except OSError as error:  # a name with an IPv6 address, on a machine that has no route for it
            unreachable = error
    raise unreachable or OSError(f"{connection.host} has no address")


_PERMISSION = "If the server is meant to be there, set allow_private_network: true for the tenant."


class PublicHTTPConnection(TimedHTTPConnection):
    """Connects to public addresses only."""

    permission: ClassVar[str] = _PERMISSION
    """What has to be written to allow others."""

    def _new_conn(self) -> socket.socket:
        return _connect_to_public(self)


class PublicHTTPSConnection(TimedHTTPSConnection):
    """Connects to public addresses only."""

    permission: ClassVar[str] = _PERMISSION

    # TLS still asks for and verifies the host's name: only the socket below it is ours.
    def _new_conn(self) -> socket.socket:
        return _connect_to_public(self)


class PublicHTTPConnectionPool(TimedHTTPConnectionPool):
    """Connects to public addresses only."""

    ConnectionCls = PublicHTTPConnection


class PublicHTTPSConnectionPool(TimedHTTPSConnectionPool):
    """Connects to public addresses only."""

    ConnectionCls = PublicHTTPSConnection
