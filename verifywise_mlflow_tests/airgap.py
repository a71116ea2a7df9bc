"""Runs a command where there is nothing but the loopback interface, and tells what it tried to reach beyond.

``python -m verifywise_mlflow_tests.airgap COMMAND …`` ends with the command's own exit code, or with 3 if it tried to
reach anything. In a network namespace of its own, every address in the world leads to the loopback interface, where
nobody answers: an attempt is refused at once, as in a network that is cut off, and its packets are seen on the
way. Names are asked of the nameserver by such packets, so they are seen, too. What is not seen is a resolver that is
asked through a socket in the file system (nscd, nss-resolve).
"""

from __future__ import annotations

import ctypes
import fcntl
import ipaddress
import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

REACHED_OUT, NO_NAMESPACE = 3, 4
"""Exit codes: it tried to reach something; the kernel gives us no namespace, so nothing was tried."""

_NEWUSER, _NEWNET = 0x10000000, 0x40000000
_SIOCSIFFLAGS, _UP = 0x8914, 0x1
_ATTACH_FILTER, _PACKET, _STATISTICS, _ALL_PROTOCOLS = 26, 263, 6, 3
_IPV4, _IPV6, _TCP, _UDP, _DNS = 0x0800, 0x86DD, 6, 17, 53


class NoNamespaceError(OSError):
    """The kernel, or who runs this machine, gives nobody a network namespace."""


def enter() -> None:
    """Put this process, which must have one thread only, into a network with loopback only.

    Raises:
        NoNamespaceError: this is not allowed here.
    """
    uid, gid = os.getuid(), os.getgid()
    flags = _NEWNET if uid == 0 else _NEWNET | _NEWUSER
    if ctypes.CDLL(None, use_errno=True).unshare(flags):
        raise NoNamespaceError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    if uid:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", _UP))
    for family in (socket.AF_INET, socket.AF_INET6):
        _lead_everything_home(family)


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


def _outward_only() -> bytes:
    """Return a packet filter (BPF) that passes what leaves loopback, and each question to a nameserver."""
    load_half, load_byte, load_word, equal, end = 0x28, 0x30, 0x20, 0x15, 0x06
    protocol = 0xFFFFF000  # Linux: the frame's protocol, wherever the packet begins
    program = (
        (load_half, 0, 0, protocol),
        (equal, 0, 7, _IPV4),  # else to IPv6
        (load_byte, 0, 0, 9),
        (equal, 0, 2, _UDP),
        (load_half, 0, 0, 22),
        (equal, 10, 0, _DNS),
        (load_byte, 0, 0, 16),
        (equal, 0, 8, 127),
        (end, 0, 0, 0),
        (equal, 0, 5, _IPV6),
        (load_byte, 0, 0, 6),
        (equal, 0, 2, _UDP),
        (load_half, 0, 0, 42),
        (equal, 2, 0, _DNS),
        (load_word, 0, 0, 24),
        (equal, 1, 0, 0),  # ::1, and nothing beyond
        (end, 0, 0, 0xFFFF),
        (end, 0, 0, 0),
    )
    return b"".join(struct.pack("=HBBI", *line) for line in program)


@dataclass(slots=True)
class Watcher:
    """Sees what leaves this process and its children for elsewhere. To be made after ``enter``."""

    attempts: set[str] = field(default_factory=set)
    """``name example.org``, ``tcp 192.0.2.7:443``, …"""
    _socket: socket.socket = field(init=False)

    def __post_init__(self) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ALL_PROTOCOLS))
        program = _outward_only()
        self._lines = ctypes.create_string_buffer(program)
        pointer = struct.pack("@HP", len(program) // 8, ctypes.addressof(self._lines))
        self._socket.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, pointer)
        threading.Thread(target=self._watch, daemon=True).start()

    _lines: ctypes.Array[ctypes.c_char] = field(init=False, repr=False)

    def _watch(self) -> None:
        while True:
            packet = self._socket.recv(65_535)
            if attempt := told_by(packet):
                self.attempts.add(attempt)

    @property
    def missed(self) -> int:
        """How many packets came too fast to be looked at."""
        _, dropped = struct.unpack("=II", self._socket.getsockopt(_PACKET, _STATISTICS, 8))
        return int(dropped)


def told_by(packet: bytes) -> str | None:
    """Return what a packet tries to reach; none where it is an answer, or the kernel's own."""
    if packet[0] >> 4 == 4:
        protocol, payload = packet[9], packet[(packet[0] & 15) * 4 :]
        address = str(ipaddress.ip_address(packet[16:20]))
    else:
        protocol, payload = packet[6], packet[40:]
        address = f"[{ipaddress.ip_address(packet[24:40])}]"
    if protocol not in (_TCP, _UDP) or len(payload) < 8:
        return None
    (port,) = struct.unpack_from("!H", payload, 2)
    if port == _DNS:
        return f"name {_asked_for(payload[8:])}" if protocol == _UDP else f"name, asked of {address}"
    is_answer = protocol == _TCP and payload[13] & 0x12 != 0x02  # anything but the first packet of a connection
    return None if is_answer else f"{'tcp' if protocol == _TCP else 'udp'} {address}:{port}"


def _asked_for(question: bytes) -> str:
    """Return the name in a question to a nameserver (RFC 1035, 4.1.2)."""
    labels, place = [], 12
    while place < len(question) and (length := question[place]):
        labels.append(question[place + 1 : place + 1 + length].decode("ascii", "backslashreplace"))
        place += 1 + length
    return ".".join(labels)


def run(command: Sequence[str]) -> int:
    """Run a command; say what it tried to reach; return the exit code."""
    try:
        enter()
        watcher = Watcher()
    except OSError as error:
        sys.stderr.write(f"there is no network namespace to be had: {error.strerror}\n")
        return NO_NAMESPACE
    code = subprocess.run(command, check=False).returncode
    threading.Event().wait(0.3)  # the last packets may be on their way
    for attempt in sorted(watcher.attempts):
        sys.stderr.write(f"it tried to reach {attempt}\n")
    if missed := watcher.missed:
        sys.stderr.write(f"{missed} packets came too fast to be looked at\n")
    return code or (REACHED_OUT if watcher.attempts or missed else 0)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
