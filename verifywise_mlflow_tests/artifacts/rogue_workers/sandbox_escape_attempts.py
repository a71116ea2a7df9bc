"""A worker that attempts one forbidden action. If run as a program, it attempts this action without a lockdown."""

from __future__ import annotations

import contextlib
import mmap
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from verifywise_mlflow.artifacts.sandbox import protocol
from verifywise_mlflow.artifacts.sandbox.lockdown import lock_down
from verifywise_mlflow.artifacts.sandbox.protocol import WorkerChannel


def main(memory_bytes: int, cpu_seconds: int) -> None:
    channel = WorkerChannel()
    channel.send_ready(lock_down(memory_bytes, cpu_seconds))
    while True:
        order = ""
        while (frame := channel.receive_frame())[0] != protocol.END:
            order += bytes(frame[1]).decode()
        channel.send_response(outcome_of(order).encode())


def outcome_of(order: str) -> str:
    """Return ``done: …`` or ``refused: …`` for an order such as ``read a file /etc/passwd``."""
    name = next(name for name in ATTEMPTS if order.startswith(name))
    try:
        return f"done: {ATTEMPTS[name](order.removeprefix(name).strip())}"
    except (OSError, ValueError, MemoryError) as error:
        return f"refused: {type(error).__name__}"


def _read(path: str) -> object:
    return os.read(os.open(path, os.O_RDONLY), 10)


def _write(path: str) -> object:
    return os.write(os.open(path, os.O_WRONLY | os.O_CREAT), b"x")


def _connect(port: str) -> object:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as connection:
        connection.connect(("127.0.0.1", int(port)))
        return connection.getsockname()


def _send_datagram(port: str) -> object:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection:
        return connection.sendto(b"x", ("127.0.0.1", int(port)))


def _fork(_: str) -> object:
    child = os.fork()
    if child == 0:
        os._exit(0)
    return os.waitpid(child, 0)[1]


def _spawn(program: str) -> object:
    return os.waitpid(os.posix_spawn(program, [program], {}), 0)[1]


def _become(program: str) -> object:
    return os.execv(program, [program])


def _map_code(_: str) -> object:
    return mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)


def _seek_own_environment(_: str) -> object:
    return Path("/proc/self/environ").read_bytes()


def _signal_parent(_: str) -> object:
    os.kill(os.getppid() or os.getpid(), signal.SIGCONT)
    return signal.SIGCONT


def _spin(_: str) -> object:
    while True:
        pass


ATTEMPTS: dict[str, Callable[[str], object]] = {
    "read a file": _read,
    "list a folder": os.listdir,
    "write a file": _write,
    "make a folder": os.mkdir,
    "remove a file": os.unlink,
    "connect": _connect,
    "send a datagram": _send_datagram,
    "pair sockets": lambda _: len(socket.socketpair()),
    "open a pipe": lambda _: os.pipe(),
    "fork": _fork,
    "spawn": _spawn,
    "become": _become,
    "map code": _map_code,
    "read its environment from the kernel": _seek_own_environment,
    "signal its parent": _signal_parent,
    "take memory": lambda count: len(bytearray(int(count))),
    "show variables": lambda _: sorted(os.environ.items()),
    "show descriptors": lambda _: [number for number in range(200) if _is_open(number)],
    "lift a limit": lambda _: resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100)),
    "spin": _spin,
}


def _is_open(number: int) -> bool:
    with contextlib.suppress(OSError):
        os.fstat(number)
        return True
    return False


if __name__ == "__main__":
    sys.stdout.write(outcome_of(sys.argv[1]))
