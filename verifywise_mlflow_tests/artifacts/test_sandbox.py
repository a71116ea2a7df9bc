"""The sandbox with the worker processes that the product starts."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import NoReturn

import psutil  # type: ignore[import-untyped]
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from verifywise_mlflow.artifacts.environment.reproducibility import ENVIRONMENT_FILES, read_environment
from verifywise_mlflow.artifacts.hashing import FileHash, NotHashed, over_limit
from verifywise_mlflow.artifacts.sandbox import client as sandbox_module
from verifywise_mlflow.artifacts.sandbox import protocol
from verifywise_mlflow.artifacts.sandbox.client import Sandbox
from verifywise_mlflow.artifacts.sandbox.limits import GIB, MIB, SandboxLimits
from verifywise_mlflow.artifacts.source import ArtifactReadError

CHUNK = protocol.MAX_FRAME_BYTES
ABC = FileHash(3, hashlib.sha256(b"abc").hexdigest())


def hash_of(content: bytes) -> FileHash:
    return FileHash(len(content), hashlib.sha256(content).hexdigest())


def worker_processes() -> list[psutil.Process]:
    """Return the child processes of this one, the newest last."""
    return sorted(psutil.Process().children(), key=lambda child: (child.create_time(), child.pid))


@given(chunks=st.lists(st.binary(max_size=300)), max_bytes=st.integers(0, 1_000))
def test_a_stream_is_hashed_whole_or_not_at_all(sandbox: Sandbox, chunks: list[bytes], max_bytes: int) -> None:
    content = b"".join(chunks)

    hashed = sandbox.hash_file(chunks, max_bytes)

    assert hashed == (hash_of(content) if len(content) <= max_bytes else over_limit(max_bytes))


@pytest.mark.parametrize("size", [0, 1, 63, 64, 4095, 65_536, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 5])
def test_the_hash_equals_that_of_sha256sum_at_every_chunk_boundary(sandbox: Sandbox, size: int) -> None:
    content = os.urandom(size)
    expected = subprocess.run(["sha256sum"], input=content, capture_output=True, check=True).stdout.split()[0].decode()

    assert sandbox.hash_file([content], size) == FileHash(size, expected)
    assert sandbox.hash_file([content[:10], b"", content[10:]], size) == FileHash(size, expected)


environment_file = st.tuples(
    st.sampled_from(ENVIRONMENT_FILES),
    st.binary(max_size=100)
    | st.sampled_from(
        [
            "dependencies: [python=3.11, {pip: [a==1, 'b>=2']}]".encode(encoding)
            for encoding in ("utf-8", "utf-16", "utf-32")
        ]
        + ["naïve==1 ; python_version<'4'\n--hash=x\nb @ git+https://u:p@h/b@c0ffee\n".encode("utf-16")]
    ),
)


@given(
    contents=st.lists(environment_file).map(dict),
    unreadable=st.dictionaries(st.sampled_from(ENVIRONMENT_FILES), st.text()),
)
@example(contents={"MLmodel": b"flavors: {sklearn: {sklearn_version: '1.4'}}"}, unreadable={"conda.yaml": "\udcff"})
def test_the_sandbox_parses_an_environment_like_the_library(
    sandbox: Sandbox, contents: dict[str, bytes], unreadable: dict[str, str]
) -> None:
    unreadable = {name: reason for name, reason in unreadable.items() if name not in contents}
    as_sent = {name: reason.encode(errors="replace").decode() for name, reason in unreadable.items()}

    environment = sandbox.parse_environment(contents, unreadable)

    assert environment.failed_files == {}
    assert environment.environment == read_environment(contents, as_sent if contents else unreadable)


def test_no_worker_is_started_without_work() -> None:
    before = worker_processes()
    with Sandbox() as sandbox:
        sandbox.parse_environment({}, {"conda.yaml": "403 Forbidden"})

        assert worker_processes() == before
        assert sandbox.protections == ()


def test_a_killed_worker_costs_only_its_current_file() -> None:
    with Sandbox() as sandbox:
        sandbox.hash_file([b""], 0)

        def killed_half_way() -> Iterator[bytes]:
            yield b"x" * CHUNK
            worker_processes()[-1].kill()
            yield from (b"x" * CHUNK for _ in range(100))

        lost = sandbox.hash_file(killed_half_way(), GIB)

        assert lost == NotHashed("not hashed: the sandbox failed: it was killed by SIGKILL")
        assert sandbox.hash_file([b"abc"], 3) == ABC


def test_a_hanging_worker_is_stopped_and_costs_only_its_current_file() -> None:
    with Sandbox(SandboxLimits(stall_timeout_s=0.5)) as sandbox:
        sandbox.hash_file([b""], 0)
        hanging = worker_processes()[-1]
        hanging.suspend()

        lost = sandbox.hash_file((b"x" * CHUNK for _ in range(100)), GIB)

        assert lost == NotHashed("not hashed: the sandbox failed: it took longer than 0.5 seconds and was stopped")
        assert not hanging.is_running()
        assert sandbox.hash_file([b"abc"], 3) == ABC


def test_a_stream_that_breaks_off_is_discarded_and_raises_the_sources_error(sandbox: Sandbox) -> None:
    sandbox.hash_file([b""], 0)
    before = worker_processes()

    def broken() -> Iterator[bytes]:
        yield b"half of it"
        raise ArtifactReadError("the server hung up")

    with pytest.raises(ArtifactReadError, match="hung up"):
        sandbox.hash_file(broken(), 100)

    assert sandbox.hash_file([b"abc"], 3) == ABC
    assert worker_processes() == before, "it is the source that failed, not the process"


@pytest.mark.parametrize(
    ("chunks", "at"), [([b"x" * CHUNK] * 100, "within a chunk"), ([b"xyz"], "on the way to the answer")]
)
def test_an_interruption_leaves_no_state_behind(chunks: list[bytes], at: str) -> None:
    class Interruption(BaseException):
        pass

    def interrupt(number: int, frame: object) -> NoReturn:
        raise Interruption

    with Sandbox() as sandbox:
        sandbox.hash_file([b""], 0)
        interrupted = worker_processes()[-1]
        interrupted.suspend()
        former = signal.signal(signal.SIGALRM, interrupt)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.3)
            with pytest.raises(Interruption):
                sandbox.hash_file(chunks, GIB)
        finally:
            signal.signal(signal.SIGALRM, former)

        assert sandbox.hash_file([b"abc"], 3) == ABC, at
        assert not interrupted.is_running()


def test_hashing_workers_are_replaced_between_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SandboxLimits, "max_worker_bytes", 10)
    with Sandbox() as sandbox:
        sandbox.hash_file([b"01234"], 10)
        first = worker_processes()[-1]
        sandbox.hash_file([b"56789"], 10)

        assert not first.is_running()
        assert sandbox.hash_file([b"abc"], 3) == ABC


def test_parsing_workers_are_replaced_between_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox_module, "MAX_REQUESTS_PER_WORKER", 2)
    with Sandbox() as sandbox:
        sandbox.parse_environment({"conda.yaml": b""}, {})
        first = worker_processes()[-1]
        sandbox.parse_environment({"conda.yaml": b""}, {})

        assert not first.is_running()
        assert (
            sandbox.parse_environment({"conda.yaml": b"dependencies: [python=3.9]"}, {}).environment.python_version
            == "3.9"
        )


def test_the_cpu_limit_allows_two_of_the_largest_files_on_a_slow_machine() -> None:
    limits = SandboxLimits(max_file_bytes=1024 * GIB)

    assert limits.max_hashing_cpu_s > 2 * limits.max_file_bytes / (100 * MIB)


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is Linux's to tell")
def test_hashing_a_gigabyte_takes_no_more_memory_than_a_small_file() -> None:
    chunk = os.urandom(256 * 1024)
    with Sandbox() as sandbox:
        hashed = sandbox.hash_file((chunk for _ in range(4 * 1024)), GIB)
        process = worker_processes()[-1]
        with open(f"/proc/{process.pid}/status", encoding="ascii") as status:  # noqa: PTH123 - no such Path elsewhere
            peak = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))

    assert isinstance(hashed, FileHash)
    assert hashed.size == GIB
    assert peak < 50 * MIB


def test_workers_do_not_outlive_a_killed_product() -> None:
    program = (
        "import time, psutil; from verifywise_mlflow.artifacts.sandbox.client import Sandbox; s = Sandbox();"
        "s.hash_file([b''], 0); s.parse_environment({'conda.yaml': b''}, {});"
        "print(*(child.pid for child in psutil.Process().children()), flush=True); time.sleep(60)"
    )
    product = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert product.stdout is not None
    pids = [int(pid) for pid in product.stdout.readline().split()]
    product.kill()
    product.communicate()

    assert len(pids) == 2
    until = time.monotonic() + 10
    while any(map(_is_alive, pids)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(map(_is_alive, pids))


def _is_alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
