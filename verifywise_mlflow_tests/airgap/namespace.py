"""A network with loopback only, to which every address of the world leads."""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
from collections.abc import Sequence
from pathlib import Path

RESOLVERS = (
    Path("/run/nscd/socket"),
    Path("/run/systemd/resolve/io.systemd.Resolve"),
    Path("/run/avahi-daemon/socket"),
    Path("/run/dbus/system_bus_socket"),
)
"""Where names can be asked for without a packet: whoever answers there is outside, and would ask the world."""

NAMES = Path("/etc/resolv.conf")
ASKED_AS_GIVEN = Path(__file__).with_name("resolv.conf")

_NEWUSER, _NEWNET, _NEWNS = 0x10000000, 0x40000000, 0x00020000
_BIND, _REC, _PRIVATE = 0x1000, 0x4000, 0x40000
_SIOCSIFFLAGS, _UP = 0x8914, 0x1

_libc = ctypes.CDLL(None, use_errno=True)


class NoNamespaceError(OSError):
    """The kernel, or who runs this machine, gives nobody a network namespace."""


def enter(resolvers: Sequence[Path] = RESOLVERS) -> None:
    """Put this process, which must have one thread only, into a network with loopback only.

    Raises:
        NoNamespaceError: this is not allowed here.
    """
    uid, gid = os.getuid(), os.getgid()
    open_ones = [path for path in resolvers if path.is_socket()]
    _done(_libc.unshare(_NEWNET | _NEWNS | (_NEWUSER if uid else 0)))
    if uid:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    _done(_libc.mount(b"none", b"/", None, _REC | _PRIVATE, None))
    for path in open_ones:  # the C library then asks a nameserver instead
        lay_over(path, Path(os.devnull))
    if NAMES.exists():
        lay_over(NAMES, ASKED_AS_GIVEN)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", _UP))
    for family in (socket.AF_INET, socket.AF_INET6):
        _lead_everything_home(family)


def lay_over(path: Path, file: Path) -> None:
    """Let a path be another file, for this process and its children."""
    _done(_libc.mount(os.fsencode(file), os.fsencode(path.resolve()), None, _BIND, None))


def _lead_everything_home(family: int) -> None:
    """Do what ``ip route add local default dev lo`` does, in rtnetlink's words (rtnetlink(7))."""
    table_local, by_boot, scope_host, type_local, attribute_interface = 255, 3, 254, 2, 4
    new_route, request_create_acknowledge = 24, 0x1 | 0x400 | 0x4
    route = struct.pack("=8BI", family, 0, 0, 0, table_local, by_boot, scope_host, type_local, 0)
    route += struct.pack("=HHI", 8, attribute_interface, socket.if_nametoindex("lo"))
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as kernel:
        kernel.send(struct.pack("=IHHII", 16 + len(route), new_route, request_create_acknowledge, 1, 0) + route)
        (error,) = struct.unpack_from("=i", kernel.recv(4096), 16)
    if error:
        raise NoNamespaceError(-error, os.strerror(-error))


def _done(failed: int) -> None:
    if failed:
        raise NoNamespaceError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
