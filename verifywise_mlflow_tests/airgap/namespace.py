"""A network namespace with loopback only, to which all addresses are routed."""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
from collections.abc import Sequence
from pathlib import Path

RESOLVER_SOCKETS = (
    Path("/run/nscd/socket"),
    Path("/run/systemd/resolve/io.systemd.Resolve"),
    Path("/run/avahi-daemon/socket"),
    Path("/run/dbus/system_bus_socket"),
)
"""Sockets through which names can be resolved without a packet. The resolver behind them runs outside the namespace."""

RESOLV_CONF = Path("/etc/resolv.conf")
RESOLV_CONF_WITHOUT_SEARCH = Path(__file__).with_name("resolv.conf")

_NEWUSER, _NEWNET, _NEWNS = 0x10000000, 0x40000000, 0x00020000
_BIND, _REC, _PRIVATE = 0x1000, 0x4000, 0x40000
_SIOCSIFFLAGS, _UP = 0x8914, 0x1

_libc = ctypes.CDLL(None, use_errno=True)


class NoNamespaceError(OSError):
    """The kernel or its administrator does not allow network namespaces."""


def enter(resolvers: Sequence[Path] = RESOLVER_SOCKETS) -> None:
    """Move this process, which must be single-threaded, into a network namespace with loopback only.

    Raises:
        NoNamespaceError: network namespaces are not allowed here.
    """
    uid, gid = os.getuid(), os.getgid()
    existing = [path for path in resolvers if path.is_socket()]
    _raise_on_failure(_libc.unshare(_NEWNET | _NEWNS | (_NEWUSER if uid else 0)))
    if uid:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    _raise_on_failure(_libc.mount(b"none", b"/", None, _REC | _PRIVATE, None))
    for path in existing:  # the C library then queries a name server instead
        bind_mount(path, Path(os.devnull))
    if RESOLV_CONF.exists():
        bind_mount(RESOLV_CONF, RESOLV_CONF_WITHOUT_SEARCH)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", _UP))
    for family in (socket.AF_INET, socket.AF_INET6):
        _route_everything_to_loopback(family)


def bind_mount(path: Path, file: Path) -> None:
    """Bind-mount a file over a path, for this process and its children."""
    _raise_on_failure(_libc.mount(os.fsencode(file), os.fsencode(path.resolve()), None, _BIND, None))


def _route_everything_to_loopback(family: int) -> None:
    """Do what ``ip route add local default dev lo`` does, through rtnetlink(7)."""
    table_local, by_boot, scope_host, type_local, attribute_interface = 255, 3, 254, 2, 4
    new_route, request_create_acknowledge = 24, 0x1 | 0x400 | 0x4
    route = struct.pack("=8BI", family, 0, 0, 0, table_local, by_boot, scope_host, type_local, 0)
    route += struct.pack("=HHI", 8, attribute_interface, socket.if_nametoindex("lo"))
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as kernel:
        kernel.send(struct.pack("=IHHII", 16 + len(route), new_route, request_create_acknowledge, 1, 0) + route)
        (error,) = struct.unpack_from("=i", kernel.recv(4096), 16)
    if error:
        raise NoNamespaceError(-error, os.strerror(-error))


def _raise_on_failure(failed: int) -> None:
    if failed:
        raise NoNamespaceError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
