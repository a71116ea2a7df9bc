"""Our own process's end of the protocol: starts a worker, sends it opaque bytes and waits with a timeout.

Only the length of a response is checked here. If a worker ends in any way, ``WorkerLostError`` is raised with the
reason. This error is not an ``OSError``, because artifact sources would handle an ``OSError`` as their own error.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from verifywise_mlflow.artifacts.sandbox import protocol

PARSE_WORKER = "verifywise_mlflow.artifacts.sandbox.parse_worker"
VERIFY_WORKER = "verifywise_mlflow.artifacts.sandbox.verify_worker"
"""The worker programs, by module."""

START_TIMEOUT_S = 30.0
"""The timeout of a start. On an idle machine, a start takes a tenth of a second."""

_ISOLATION_FLAGS = ("-I", "-S", "-B", "-X", "utf8")
"""With these options, no environment variable, user folder or .pth file affects what is run, and no bytecode is
written."""
_BOOTSTRAP = (
    "import sys; sys.path[:] = sys.argv[4:]; from importlib import import_module; "
    "import_module(sys.argv[1]).main(int(sys.argv[2]), int(sys.argv[3]))"
)
_LIBRARY_PATHS = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
"""The only environment variables that are passed on: some Python installations do not start without them."""
_PIPE_BYTES = 1024 * 1024
_MAX_READY_BYTES = 2_000


class WorkerLostError(Exception):
    """The worker ended, hangs or broke the protocol. The message is a clause for people: ``it was killed …``."""


class _Starter:
    """The thread that starts all workers of this process: Linux kills a worker when the thread that started it ends."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: ThreadPoolExecutor | None = None
        os.register_at_fork(after_in_child=self._forget)

    def call(self, start: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
        """Call ``start`` in this thread; return the started process."""
        with self._lock:
            if self._thread is None:
                self._thread = ThreadPoolExecutor(1, "sandbox-starter")
            return self._thread.submit(start).result()

    def _forget(self) -> None:
        # A forked process has the lock and the executor, but not the thread.
        self._lock, self._thread = threading.Lock(), None


_starter = _Starter()


class Worker:
    """One worker process. Any thread may use it, but only one thread at a time."""

    def __init__(self, program: str, memory_bytes: int, cpu_seconds: int) -> None:
        """Start the process and wait until it has locked itself down.

        Raises:
            WorkerLostError: The process did not lock itself down.
        """
        self.memory_bytes, self.cpu_seconds = memory_bytes, cpu_seconds
        try:
            self._process = _starter.call(lambda: _start(program, memory_bytes, cpu_seconds))
        except OSError as error:
            raise WorkerLostError(f"it could not be started: {error.strerror}") from error
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._in, False)
        os.set_blocking(self._out, False)
        if sys.platform == "linux":
            with contextlib.suppress(OSError):  # beyond the user's pipe quota, the default of 64 KiB stays
                fcntl.fcntl(self._in, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self.in_force, self.refused = self._await_ready()

    def send(self, kind: int, payload: bytes | memoryview, seconds: float) -> None:
        """Send a payload in as many frames of a kind as it needs.

        Args:
            kind: A frame kind of ``protocol``.
            payload: Any number of bytes.
            seconds: How long the worker may take to read each frame.

        Raises:
            WorkerLostError: The worker has ended, or did not read the payload in time.
        """
        view = memoryview(payload)
        for start in range(0, len(view) or 1, protocol.MAX_FRAME_BYTES):
            part = view[start : start + protocol.MAX_FRAME_BYTES]
            self._write([protocol.HEADER.pack(kind, len(part)), part], seconds)

    def finish_request(self, max_bytes: int, seconds: float) -> bytes:
        """End the request and return its response.

        Raises:
            WorkerLostError: There was no response in time, or it is invalid or longer than ``max_bytes``.
        """
        self.send(protocol.END, b"", seconds)
        return self._receive(protocol.RESPONSE, max_bytes, seconds)

    def close(self) -> None:
        """Kill the process. It has no state to save."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def _await_ready(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        try:
            lines = (
                self._receive(protocol.READY, _MAX_READY_BYTES, START_TIMEOUT_S).decode("ascii", "replace").split("\n")
            )
            in_force, refused = (tuple(line.split()) for line in lines)
        except (WorkerLostError, ValueError) as error:
            last_line = self._last_stderr_line()
            self.close()
            raise WorkerLostError(f"it could not be started: {last_line or error}") from error
        assert self._process.stderr is not None
        self._process.stderr.close()
        return in_force, refused

    def _last_stderr_line(self) -> str:
        """Return the last line of standard error. Before the worker is ready, only our own code has written there."""
        try:
            self._process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            return ""
        assert self._process.stderr is not None
        lines = self._process.stderr.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1][:200] if lines else ""

    def _write(self, buffers: list[bytes | memoryview], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        unwritten = [memoryview(buffer) for buffer in buffers if len(buffer)]
        while unwritten:
            try:
                byte_count = os.writev(self._in, unwritten)
            except BlockingIOError:
                self._wait(self._in, select.POLLOUT, deadline, seconds)
                continue
            except OSError as error:  # a broken pipe
                raise WorkerLostError(self._exit_reason()) from error
            while unwritten and byte_count >= len(unwritten[0]):
                byte_count -= len(unwritten.pop(0))
            if unwritten:
                unwritten[0] = unwritten[0][byte_count:]

    def _receive(self, expected: int, max_bytes: int, seconds: float) -> bytes:
        deadline = time.monotonic() + seconds
        read = self._reader(deadline, seconds)
        kind, length = protocol.HEADER.unpack(read(protocol.HEADER.size))
        if kind != expected or length > max_bytes:
            raise WorkerLostError("it returned an invalid response")
        return read(length)

    def _reader(self, deadline: float, seconds: float) -> Callable[[int], bytes]:
        def read(count: int) -> bytes:
            content = bytearray()
            while len(content) < count:
                try:
                    part = os.read(self._out, min(count - len(content), _PIPE_BYTES))
                except BlockingIOError:
                    self._wait(self._out, select.POLLIN, deadline, seconds)
                    continue
                if not part:
                    raise WorkerLostError(self._exit_reason())
                content += part
            return bytes(content)

        return read

    def _wait(self, descriptor: int, event: int, deadline: float, seconds: float) -> None:
        poll = select.poll()
        poll.register(descriptor, event)
        seconds_left = deadline - time.monotonic()
        if seconds_left <= 0 or not poll.poll(seconds_left * 1000):
            raise WorkerLostError(f"it took longer than {seconds:g} seconds and was stopped")

    def _exit_reason(self) -> str:
        try:
            status = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return "it closed its pipes and was stopped"
        if status == protocol.OUT_OF_MEMORY_EXIT_STATUS:
            return f"it needed more than the {self.memory_bytes} bytes of memory it may use"
        if status == -signal.SIGXCPU:
            return f"it used more than {self.cpu_seconds} seconds of CPU time"
        if status < 0:
            return f"it was killed by {_signal_name(-status)}"
        return f"it exited with status {status}"


def _start(program: str, memory_bytes: int, cpu_seconds: int) -> subprocess.Popen[bytes]:
    paths = [str(Path(entry).absolute()) for entry in sys.path]
    return subprocess.Popen(  # noqa: S603 - our own interpreter, our own module
        [sys.executable, *_ISOLATION_FLAGS, "-c", _BOOTSTRAP, program, str(memory_bytes), str(cpu_seconds), *paths],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        cwd="/",
        env={name: os.environ[name] for name in _LIBRARY_PATHS if name in os.environ},
        start_new_session=True,  # Ctrl-C is for the product, which stops the worker
    )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
