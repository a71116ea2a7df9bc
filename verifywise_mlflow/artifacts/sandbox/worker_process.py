"""The outer end: starts a process that locks itself in, moves opaque bytes into it, and waits for it with a clock.

Nothing that comes out of it is believed here beyond its length. Every way in which it can end is one error with a
sentence; none of them is an ``OSError``, which sources of files take for their own.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from verifywise_mlflow.artifacts.sandbox import frames

HASHING = "verifywise_mlflow.artifacts.sandbox.hash_worker"
PARSING = "verifywise_mlflow.artifacts.sandbox.parse_worker"
VERIFYING = "verifywise_mlflow.artifacts.sandbox.verify_worker"
"""The programs, by their module."""

START_SECONDS = 30.0
"""It takes a tenth of one on an idle machine."""

_ALONE = ("-I", "-S", "-B", "-X", "utf8")
"""No variable, no user's folder and no .pth file decides what is run, and nothing is written."""
_BEGIN = (
    "import sys; sys.path[:] = sys.argv[4:]; from importlib import import_module; "
    "import_module(sys.argv[1]).main(int(sys.argv[2]), int(sys.argv[3]))"
)
_LIBRARY_PATHS = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
"""The only variables handed on: some installations of Python do not start without."""
_PIPE_BYTES = 1024 * 1024
_READY_BYTES = 2_000


class WorkerLostError(Exception):
    """The process inside ended, hangs or talks nonsense. Its text is a clause for people: ``it was killed …``."""


class Worker:
    """One process inside. Not for use from several threads, and to be started by a thread that outlives it."""

    def __init__(self, program: str, memory_bytes: int, cpu_seconds: int) -> None:
        """Start it and wait until it has locked itself in.

        Raises:
            WorkerLostError: it did not come so far.
        """
        self.memory_bytes, self.cpu_seconds = memory_bytes, cpu_seconds
        self.bytes_sent = 0
        self._is_mid_sentence = False
        """True while a frame or an answer is under way: after an interruption then, nothing more can be said to it."""
        paths = [str(Path(entry).absolute()) for entry in sys.path]
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter, our own module
                [sys.executable, *_ALONE, "-c", _BEGIN, program, str(memory_bytes), str(cpu_seconds), *paths],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                cwd="/",
                env={name: os.environ[name] for name in _LIBRARY_PATHS if name in os.environ},
                start_new_session=True,  # Ctrl-C is for us: we end it
            )
        except OSError as error:
            raise WorkerLostError(f"it could not be started: {error.strerror}") from error
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._in, False)
        os.set_blocking(self._out, False)
        if sys.platform == "linux":
            with contextlib.suppress(OSError):  # past the quota of pipes the usual 64 KiB have to do
                fcntl.fcntl(self._in, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self.in_force, self.refused = self._begin()

    def send(self, kind: int, payload: bytes | memoryview, seconds: float) -> None:
        """Send a frame, or as many of its kind as it takes.

        Args:
            kind: One of ``frames``.
            payload: Bytes of any number.
            seconds: How long the process may take to read each frame.

        Raises:
            WorkerLostError: it did not.
        """
        view = memoryview(payload)
        for start in range(0, len(view) or 1, frames.MAX_INWARD_BYTES):
            part = view[start : start + frames.MAX_INWARD_BYTES]
            self._is_mid_sentence = True
            self._write([frames.HEADER.pack(kind, len(part)), part], seconds)
            self._is_mid_sentence = kind == frames.END
            self.bytes_sent += len(part)

    def answer(self, max_bytes: int, seconds: float) -> bytes:
        """Ask for the answer to all that was sent since the last one.

        Raises:
            WorkerLostError: none came, or one that is longer than ``max_bytes``.
        """
        self.send(frames.END, b"", seconds)
        answer = self._receive(frames.ANSWER, max_bytes, seconds)
        self._is_mid_sentence = False
        return answer

    def forget(self, seconds: float) -> None:
        """Have the process throw away what was sent since the last answer.

        Raises:
            WorkerLostError: it cannot be told so any more.
        """
        if self._is_mid_sentence:
            raise WorkerLostError("it was interrupted")
        self.send(frames.ABANDON, b"", seconds)

    def close(self) -> None:
        """End the process. It holds nothing that would have to be saved."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def _begin(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        try:
            lines = self._receive(frames.READY, _READY_BYTES, START_SECONDS).decode("ascii", "replace").split("\n")
            in_force, refused = (tuple(line.split()) for line in lines)
        except (WorkerLostError, ValueError) as error:
            complaint = self._last_complaint()
            self.close()
            raise WorkerLostError(f"it could not be started: {complaint or error}") from error
        assert self._process.stderr is not None
        self._process.stderr.close()
        return in_force, refused

    def _last_complaint(self) -> str:
        """The last line that Python wrote before it ended; until it is ready, only our own code has had a say."""
        try:
            self._process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            return ""
        assert self._process.stderr is not None
        lines = self._process.stderr.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1][:200] if lines else ""

    def _write(self, buffers: list[bytes | memoryview], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        left = [memoryview(buffer) for buffer in buffers if len(buffer)]
        while left:
            try:
                written = os.writev(self._in, left)
            except BlockingIOError:
                self._wait(self._in, select.POLLOUT, deadline, seconds)
                continue
            except OSError as error:  # a broken pipe
                raise WorkerLostError(self._how_it_ended()) from error
            while left and written >= len(left[0]):
                written -= len(left.pop(0))
            if left:
                left[0] = left[0][written:]

    def _receive(self, expected: int, max_bytes: int, seconds: float) -> bytes:
        deadline = time.monotonic() + seconds
        read = self._reading_until(deadline, seconds)
        kind, length = frames.HEADER.unpack(read(frames.HEADER.size))
        if kind != expected or length > max_bytes:
            raise WorkerLostError("it gave an answer that makes no sense")
        return read(length)

    def _reading_until(self, deadline: float, seconds: float) -> Callable[[int], bytes]:
        def read(count: int) -> bytes:
            content = bytearray()
            while len(content) < count:
                try:
                    part = os.read(self._out, min(count - len(content), _PIPE_BYTES))
                except BlockingIOError:
                    self._wait(self._out, select.POLLIN, deadline, seconds)
                    continue
                if not part:
                    raise WorkerLostError(self._how_it_ended())
                content += part
            return bytes(content)

        return read

    def _wait(self, descriptor: int, event: int, deadline: float, seconds: float) -> None:
        poll = select.poll()
        poll.register(descriptor, event)
        left = deadline - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            raise WorkerLostError(f"it took longer than {seconds:g} seconds and was ended")

    def _how_it_ended(self) -> str:
        try:
            status = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return "it closed its pipes and was ended"
        if status == frames.OUT_OF_MEMORY:
            return f"it needed more than the {self.memory_bytes} bytes of memory it may use"
        if status == -signal.SIGXCPU:
            return f"it used more than {self.cpu_seconds} seconds of the processor"
        if status < 0:
            return f"it was killed by {_name_of_signal(-status)}"
        return f"it ended with status {status}"


def _name_of_signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
