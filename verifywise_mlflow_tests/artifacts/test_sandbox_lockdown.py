"""The lockdown: a locked-down process makes each escape attempt, and a free process makes it again as a control."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from verifywise_mlflow.artifacts.sandbox import protocol
from verifywise_mlflow.artifacts.sandbox.limits import MIB
from verifywise_mlflow.artifacts.sandbox.lockdown import ESCAPE_ATTEMPTS
from verifywise_mlflow.artifacts.sandbox.worker_process import Worker, WorkerLostError
from verifywise_mlflow_tests.artifacts.rogue_workers import sandbox_escape_attempts

ESCAPE_WORKER = sandbox_escape_attempts.__name__

linux = pytest.mark.skipif(sys.platform != "linux", reason="uses protections that only Linux has")


@pytest.fixture(scope="module")
def locked_down_worker() -> Iterator[Worker]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VERIFYWISE_DATABASE_URL", "postgresql://user:password@host/database")
        worker = Worker(ESCAPE_WORKER, 256 * MIB, 60)
    yield worker
    worker.close()


@pytest.fixture(scope="module")
def port() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield str(server.getsockname()[1])


def run_in_worker(worker: Worker, order: str, seconds: float = 30) -> str:
    worker.send(protocol.DATA, order.encode(), seconds)
    return worker.finish_request(10_000, seconds).decode()


def run_unconfined(order: str) -> str:
    """Return the outcome of the same order in a process without a lockdown."""
    command = [sys.executable, "-m", ESCAPE_WORKER, order]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


@linux
@pytest.mark.parametrize(
    "order",
    [
        "read a file /etc/passwd",
        "read a file {folder}/file",
        "list a folder /",
        "write a file {folder}/file",
        "write a file {folder}/new",
        "make a folder {folder}/sub",
        "connect {port}",
        "send a datagram {port}",
        "pair sockets",
        "open a pipe",
        "fork",
        "spawn /bin/true",
        "map code",
        "read its environment from the kernel",
        "signal its parent",
        "take memory 300000000",
    ],
)
def test_a_locked_down_process_can_do_nothing_else(
    locked_down_worker: Worker, tmp_path: Path, port: str, order: str
) -> None:
    (tmp_path / "file").write_text("content")
    order = order.format(folder=tmp_path, port=port)

    outcome = run_in_worker(locked_down_worker, order)

    assert outcome.startswith("refused"), outcome
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert run_unconfined(order).startswith("done"), "otherwise the attempt proves nothing"


@linux
def test_a_locked_down_process_cannot_run_another_program(locked_down_worker: Worker) -> None:
    assert run_in_worker(locked_down_worker, f"become {sys.executable}").startswith("refused")


@linux
def test_a_locked_down_process_cannot_lift_a_limit(locked_down_worker: Worker) -> None:
    assert run_in_worker(locked_down_worker, "lift a limit").startswith("refused")


def test_a_worker_does_not_see_the_products_environment_variables(locked_down_worker: Worker) -> None:
    variables = run_in_worker(locked_down_worker, "show variables")

    assert "postgresql" not in variables
    assert "HOME" not in variables
    assert "PATH'" not in variables.replace("LIBRARY_PATH'", "")
    assert "HOME" in run_unconfined("show variables") or "PATH" in run_unconfined("show variables")


def test_a_worker_does_not_inherit_files_or_sockets(tmp_path: Path) -> None:
    with (tmp_path / "secret").open("w") as secret:
        os.set_inheritable(secret.fileno(), True)
        worker = Worker(ESCAPE_WORKER, 256 * MIB, 60)
    outcome = run_in_worker(worker, "show descriptors")
    worker.close()

    assert outcome in ("done: [0, 1, 2]", "done: []")  # under seccomp descriptors cannot even be inspected


@linux
def test_an_endless_loop_ends_at_the_cpu_limit() -> None:
    worker = Worker(ESCAPE_WORKER, 256 * MIB, 1)
    with pytest.raises(WorkerLostError, match="used more than 1 seconds of CPU time"):
        run_in_worker(worker, "spin")
    worker.close()


@linux
def test_a_current_kernel_grants_the_main_protections() -> None:
    worker = Worker(ESCAPE_WORKER, 256 * MIB, 60)
    worker.close()

    granted = {"no-new-privileges", "no-capabilities", "not-dumpable", "memory-limit", "rlimits", "seccomp"}
    assert granted <= set(worker.in_force)
    assert worker.refused == ESCAPE_ATTEMPTS


SINGLE_STEPS_PROGRAM = """
import sys
from verifywise_mlflow.artifacts.sandbox import linux_hardening, lockdown, seccomp
steps = dict(linux_hardening.STEPS) | {"seccomp": seccomp.install}
for word in sys.argv[1].split():
    steps[word]()
print(*lockdown._refused_attempts())
"""


def refused_with_only(*steps: str) -> set[str]:
    """Return the actions that these steps alone refuse; skip the test if the kernel does not support the steps."""
    process = subprocess.run(
        [sys.executable, "-c", SINGLE_STEPS_PROGRAM, " ".join(steps)], capture_output=True, text=True, check=False
    )
    if "PermissionError" in process.stderr or "Function not implemented" in process.stderr:
        pytest.skip(f"not granted here: {steps}")
    assert process.returncode == 0, process.stderr
    return set(process.stdout.split())


@linux
def test_each_protection_works_by_itself() -> None:
    assert refused_with_only("no-new-privileges", "seccomp") == set(ESCAPE_ATTEMPTS)
    assert refused_with_only("no-new-privileges", "landlock") >= {"reading-files", "writing-files"}
    assert refused_with_only("user-namespace", "empty-root") >= {"writing-files"}


PORTABLE_PROGRAM = """
import sys
sys.platform = "darwin"
from verifywise_mlflow.artifacts.sandbox.lockdown import lock_down
protections = lock_down(256 * 1024 * 1024, 60)
print(*protections.in_force, "|", *protections.refused)
"""


def test_the_portable_part_alone_refuses_files_and_sockets() -> None:
    process = subprocess.run([sys.executable, "-c", PORTABLE_PROGRAM], capture_output=True, text=True, check=True)
    in_force, _, refused_steps = process.stdout.partition("|")

    assert "rlimits" in in_force.split()
    assert {"reading-files", "writing-files", "network"} <= set(refused_steps.split())


def test_a_step_that_the_kernel_refuses_does_not_stop_the_others() -> None:
    program = PORTABLE_PROGRAM.replace('"darwin"', '"linux"').replace(
        "protections =",
        """
from verifywise_mlflow.artifacts.sandbox import linux_hardening
def refused(): raise PermissionError("as in a container")
linux_hardening.STEPS = tuple((word, refused if "namespace" in word else step) for word, step in linux_hardening.STEPS)
protections =""",
    )
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    in_force = process.stdout.partition("|")[0].split()

    assert not any("namespace" in step for step in in_force)
    assert in_force[-1] == "seccomp"
