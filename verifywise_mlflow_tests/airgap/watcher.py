"""Captures packets to addresses outside the namespace and names their destinations."""

from __future__ import annotations

import ctypes
import ipaddress
import socket
import struct
import threading

_ATTACH_FILTER, _PACKET, _STATISTICS, _ALL_PROTOCOLS = 26, 263, 6, 3
_IPV4, _IPV6, _TCP, _UDP, _DNS = 0x0800, 0x86DD, 6, 17, 53
_ECHO_REQUESTS = ((1, 8), (58, 128))
"""Protocol number and message type, for IPv4 and IPv6."""

_MARKER_ADDRESS = ("192.0.2.255", 9)
_MARKER = "udp 192.0.2.255:9"
"""A packet that the watcher itself sends to a documentation address (RFC 5737). Packets are captured in order."""


def _outbound_filter() -> bytes:
    """Return a packet filter (BPF) that passes all DNS queries, and all packets to addresses other than loopback."""
    load_half, load_byte, load_word, equal, end = 0x28, 0x30, 0x20, 0x15, 0x06
    protocol = 0xFFFFF000  # Linux: the frame's protocol, at any packet offset
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


class Watcher:
    """Captures the packets of this process and its children to other addresses. Create it inside the namespace."""

    def __init__(self) -> None:
        """Start capturing."""
        self.attempts: set[str] = set()
        """``name example.org``, ``tcp 192.0.2.7:443``, …"""
        self._marked = threading.Event()
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ALL_PROTOCOLS))
        program = _outbound_filter()
        self._lines = ctypes.create_string_buffer(program)
        pointer = struct.pack("@HP", len(program) // 8, ctypes.addressof(self._lines))
        self._socket.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, pointer)
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            attempt = destination_of(self._socket.recv(65_535))
            if attempt == _MARKER:
                self._marked.set()
            elif attempt:
                self.attempts.add(attempt)

    def catch_up(self) -> None:
        """Wait until every packet sent so far was examined.

        Raises:
            TimeoutError: the capturing thread no longer runs, so the attempts are unknown.
        """
        for _ in range(60):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.sendto(b"", _MARKER_ADDRESS)
            if self._marked.wait(1):
                return
        raise TimeoutError

    @property
    def missed(self) -> int:
        """The number of packets that were dropped before they could be examined."""
        _, dropped = struct.unpack("=II", self._socket.getsockopt(_PACKET, _STATISTICS, 8))
        return int(dropped)


def destination_of(packet: bytes) -> str | None:
    """Return the destination of a packet; None for a response or a packet of the kernel itself."""
    if packet[0] >> 4 == 4:
        protocol, payload = packet[9], packet[(packet[0] & 15) * 4 :]
        address = str(ipaddress.ip_address(packet[16:20]))
    else:
        protocol, payload = packet[6], packet[40:]
        address = f"[{ipaddress.ip_address(packet[24:40])}]"
    if len(payload) < 8:
        return None
    if (protocol, payload[0]) in _ECHO_REQUESTS:
        return f"ping {address}"
    if protocol not in (_TCP, _UDP):
        return None
    (port,) = struct.unpack_from("!H", payload, 2)
    if port == _DNS:
        return f"name {_queried_name(payload[8:])}" if protocol == _UDP else f"name, queried at {address}"
    is_response = protocol == _TCP and payload[13] & 0x12 != 0x02  # anything but the first packet of a connection
    return None if is_response else f"{'tcp' if protocol == _TCP else 'udp'} {address}:{port}"


def _queried_name(query: bytes) -> str:
    """Return the name in a DNS query (RFC 1035, 4.1.2)."""
    labels, offset = [], 12
    while offset < len(query) and (length := query[offset]):
        labels.append(query[offset + 1 : offset + 1 + length].decode("ascii", "backslashreplace"))
        offset += 1 + length
    return ".".join(labels)
