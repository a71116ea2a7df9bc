"""Which network addresses may be contacted.

A tenant names its tracking server; without ``allow_private_network`` that must not become a way into
our own network. The check is made on the address that is then connected to, not on the name before,
so a name that resolves differently a moment later gains nothing.
"""

from __future__ import annotations

import ipaddress
import socket

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util.connection import create_connection

from verifywise_mlflow.connector.errors import RefusedAddressError


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet: not private, loopback, link-local, multicast or reserved."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        # ::ffff:127.0.0.1, 64:ff9b::7f00:1 and 2002:7f00:1:: are all ways to write 127.0.0.1.
        if ip in ipaddress.ip_network("64:ff9b::/96"):
            ip = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        else:
            ip = ip.ipv4_mapped or ip.sixtofour or ip
    return ip.is_global and not ip.is_multicast


def _connect_to_public(connection: HTTPConnection) -> socket.socket:
    # urllib3 gives an IPv6 host with its brackets off in _dns_host, which is what the resolver wants.
    found = socket.getaddrinfo(connection._dns_host, connection.port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    refused = [address for address in addresses if not is_public(address)]
    if refused:
        raise RefusedAddressError(
            f"{connection.host} is at {refused[0]}, a private, loopback or link-local address. If the server is "
            "meant to be there, set allow_private_network: true for the tenant."
        )
    return create_connection(
        (addresses[0], connection.port), connection.timeout, socket_options=connection.socket_options
    )


class _PublicHTTPConnection(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return _connect_to_public(self)


class _PublicHTTPSConnection(HTTPSConnection):
    # TLS still asks for and verifies the host's name: only the socket below it is ours.
    def _new_conn(self) -> socket.socket:
        return _connect_to_public(self)


class PublicHTTPConnectionPool(HTTPConnectionPool):
    """Connects to public addresses only."""

    ConnectionCls = _PublicHTTPConnection


class PublicHTTPSConnectionPool(HTTPSConnectionPool):
    """Connects to public addresses only."""

    ConnectionCls = _PublicHTTPSConnection
