"""Simulates a distance between a client and servers on this machine: every byte takes half a round trip.

``python -m benchmarks.latency_proxy PORT…`` forwards a new port of 127.0.0.1 to each given port, until its standard
input ends. Neither throughput nor the number of connections is limited, and setting up a connection costs a round trip,
as over a real network. It runs in a process of its own, so that no client or server waits for its CPU time.

The proxy also observes the number of forwarded requests, their bytes, and when each server began and ended its
response. A request is what a client sends before it receives something. This is correct for HTTP/1.1 without
pipelining.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field

from benchmarks.task import REPOSITORY

MAX_BUFFERED_BYTES = 4 * 1024**2
"""The maximum number of bytes that have arrived but were not yet received. Bytes in transit are not limited."""


@dataclass(slots=True)
class Traffic:
    """What was forwarded since the last observation."""

    connections: int = 0
    request_bytes: int = 0
    """Bytes from clients, headers included."""
    response_bytes: int = 0
    exchanges: list[tuple[float, float, float]] = field(default_factory=list)
    """For each request, when the server received it and when it began and ended its response (``time.monotonic``)."""
    cpu_seconds: float = 0.0
    """CPU time of the proxy."""

    @property
    def requests(self) -> int:
        """The number of requests."""
        return len(self.exchanges)

    def in_flight(self, at: float) -> int:
        """Return how many requests were in flight on the servers at a given time."""
        return sum(received <= at < ended for received, _, ended in self.exchanges)


@dataclass(frozen=True, slots=True)
class Distance:
    """The running proxy."""

    ports: Mapping[int, int]
    """The server's port to the port of the proxy."""
    _process: subprocess.Popen[str]

    def uri(self, server_uri: str) -> str:
        """Return the address of a server at this distance."""
        for port, proxied in self.ports.items():
            server_uri = server_uri.replace(f"127.0.0.1:{port}", f"127.0.0.1:{proxied}")
        return server_uri

    def set(self, round_trip_ms: float) -> None:
        """Change the round trip for everything that is sent from now on, and reset the traffic."""
        self._send(round_trip_ms)

    def traffic(self) -> Traffic:
        """Return the traffic since the last call, or since the distance was set."""
        return self._send(None)

    def _send(self, round_trip_ms: float | None) -> Traffic:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{json.dumps(round_trip_ms)}\n")
        self._process.stdin.flush()
        return Traffic(**json.loads(self._process.stdout.readline()))


@contextmanager
def distance(ports: Sequence[int], round_trip_ms: float = 0.0) -> Iterator[Distance]:
    """Run the proxy in front of servers on these ports of 127.0.0.1."""
    with subprocess.Popen(  # noqa: S603  # our own command, no shell
        [sys.executable, "-m", "benchmarks.latency_proxy", *map(str, ports)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    ) as process:
        try:
            assert process.stdout is not None
            proxy = Distance(dict(zip(ports, json.loads(process.stdout.readline()), strict=True)), process)
            proxy.set(round_trip_ms)
            yield proxy
        finally:
            process.communicate()  # the process ends when its input ends


@dataclass(slots=True)
class _Link:
    """The state that all connections share."""

    half_trip: float = 0.0
    """Half of the round trip, in seconds."""
    traffic: Traffic = field(default_factory=Traffic)
    cpu_before: float = 0.0
    servers: set[_Server] = field(default_factory=set)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def take_traffic(self) -> Traffic:
        """Return the traffic so far and reset it."""
        for server in self.servers:
            server.end_exchange()
        cpu = time.process_time()
        traffic, self.traffic = self.traffic, Traffic()
        traffic.cpu_seconds, self.cpu_before = cpu - self.cpu_before, cpu
        return traffic


class _Endpoint(asyncio.Protocol):
    """One of the two sockets of a forwarded connection."""

    def __init__(self, link: _Link) -> None:
        self.link = link
        self.loop = asyncio.get_running_loop()
        self.transport: asyncio.Transport | None = None
        self.peer: _Endpoint
        self.opens_at = 0.0
        """The earliest time at which the peer can send. Before that, the peer does not know that the connection was
        accepted."""
        self._in_transit: deque[tuple[float, bytes]] = deque()
        """Data for this socket, each with the time at which it arrives. Empty data closes the socket."""
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.set_write_buffer_limits(high=MAX_BUFFERED_BYTES)
        self._deliver()

    def data_received(self, data: bytes) -> None:
        self.peer.send(data)

    def eof_received(self) -> bool:
        self.peer.send(b"")
        return True  # data in transit to this socket still arrives

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self.transport = None
        self.peer.send(b"")

    def pause_writing(self) -> None:
        if self.peer.transport:
            self.peer.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.peer.transport:
            self.peer.transport.resume_reading()

    def send(self, data: bytes) -> None:
        """Send data on its way to this socket."""
        self._in_transit.append((max(self.loop.time(), self.opens_at) + self.link.half_trip, data))
        if self._timer is None:
            self._timer = self.loop.call_at(self._in_transit[0][0], self._deliver)

    def _deliver(self) -> None:
        self._timer = None
        if self.transport is None:
            return
        now = self.loop.time()
        while self._in_transit and self._in_transit[0][0] <= now:
            _, data = self._in_transit.popleft()
            if not data:
                self.transport.close()  # closes after all earlier data
                return
            self.arrived(data)
            self.transport.write(data)
        if self._in_transit:
            self._timer = self.loop.call_at(self._in_transit[0][0], self._deliver)

    def arrived(self, data: bytes) -> None:
        """Observe data that arrives at this socket."""


class _Client(_Endpoint):
    def __init__(self, link: _Link, port: int) -> None:
        super().__init__(link)
        self.port = port

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        server = self.peer = _Server(self.link)
        server.peer = self
        # The client sends its first data once the server has accepted the connection: a round trip after its request.
        server.opens_at = self.loop.time() + 2 * self.link.half_trip
        self.link.traffic.connections += 1
        super().connection_made(transport)
        task = self.loop.create_task(self._connect(server))
        self.link.tasks.add(task)
        task.add_done_callback(self.link.tasks.discard)

    async def _connect(self, server: _Server) -> None:
        try:
            await self.loop.create_connection(lambda: server, "127.0.0.1", self.port)
        except OSError:
            if self.transport:
                self.transport.abort()


class _Server(_Endpoint):
    def __init__(self, link: _Link) -> None:
        super().__init__(link)
        link.servers.add(self)
        self._exchange: list[float] | None = None
        """When the current request was received. Once the response has begun: also when it began, and its end so
        far."""

    def arrived(self, data: bytes) -> None:
        self.link.traffic.request_bytes += len(data)
        self.end_exchange()
        if self._exchange is None:
            self._exchange = [self.loop.time()]

    def data_received(self, data: bytes) -> None:
        self.link.traffic.response_bytes += len(data)
        if self._exchange is not None:
            now = self.loop.time()
            self._exchange[1:] = [self._exchange[1] if len(self._exchange) > 1 else now, now]
        super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.end_exchange()
        self.link.servers.discard(self)
        super().connection_lost(exc)

    def end_exchange(self) -> None:
        """Record an exchange whose response is complete, or began and was cut off."""
        if self._exchange is not None and len(self._exchange) > 1:
            received, began, ended = self._exchange
            self.link.traffic.exchanges.append((received, began, ended))
            self._exchange = None


async def _serve(ports: Sequence[int]) -> None:
    loop, link, over = asyncio.get_running_loop(), _Link(), asyncio.Event()
    servers = [
        await loop.create_server(lambda port=port: _Client(link, port), "127.0.0.1", 0)  # type: ignore[misc]  # the default binds it
        for port in ports
    ]
    _report([server.sockets[0].getsockname()[1] for server in servers])

    def obey() -> None:
        orders = os.read(sys.stdin.fileno(), 4_096)
        if not orders:
            over.set()
        for order in orders.splitlines():
            _report(asdict(link.take_traffic()))
            if (round_trip_ms := json.loads(order)) is not None:
                link.half_trip = round_trip_ms / 2_000

    loop.add_reader(sys.stdin.fileno(), obey)
    await over.wait()


def _report(message: object) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(_serve([int(port) for port in sys.argv[1:]]))
