"""The sandbox with the worker processes that the product starts."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from typing import NoReturn

import psutil  # type: ignore[import-untyped]
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from verifywise_mlflow.artifacts.environment.reproducibility import ENVIRONMENT_FILES, read_environment
from verifywise_mlflow.artifacts.sandbox import client as sandbox_module
from verifywise_mlflow.artifacts.sandbox import protocol
from verifywise_mlflow.artifacts.sandbox.client import Sandbox
from verifywise_mlflow.artifacts.sandbox.limits import SandboxLimits

CHUNK = protocol.MAX_FRAME_BYTES
ENVIRONMENT = {"conda.yaml": b"dependencies: [python=3.9]"}


def worker_processes() -> list[psutil.Process]:
    """Return the child processes of this one, the newest last."""
    return sorted(psutil.Process().children(), key=lambda child: (child.create_time(), child.pid))


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


def test_a_killed_worker_is_replaced() -> None:
    with Sandbox() as sandbox:
        sandbox.parse_environment(ENVIRONMENT, {})
        worker_processes()[-1].kill()

        lost = sandbox.parse_environment(ENVIRONMENT, {})

        assert lost.failed_files == {"conda.yaml": "the sandbox failed: it was killed by SIGKILL"}
        assert sandbox.parse_environment(ENVIRONMENT, {}).environment.python_version == "3.9"


def test_a_hanging_worker_is_stopped_and_replaced() -> None:
    with Sandbox(SandboxLimits(parse_timeout_s=0.5)) as sandbox:
        sandbox.parse_environment(ENVIRONMENT, {})
        hanging = worker_processes()[-1]
        hanging.suspend()

        lost = sandbox.parse_environment(ENVIRONMENT, {})

        assert lost.failed_files == {
            "conda.yaml": "the sandbox failed: it took longer than 0.5 seconds and was stopped"
        }
        assert not hanging.is_running()
        assert sandbox.parse_environment(ENVIRONMENT, {}).environment.python_version == "3.9"


@pytest.mark.parametrize(("content", "at"), [(b"#" * 3 * CHUNK, "within a file"), (b"#", "on the way to the answer")])
def test_an_interruption_leaves_no_state_behind(content: bytes, at: str) -> None:
    class Interruption(BaseException):
        pass

    def interrupt(number: int, frame: object) -> NoReturn:
        raise Interruption

    with Sandbox() as sandbox:
        sandbox.parse_environment(ENVIRONMENT, {})
        interrupted = worker_processes()[-1]
        interrupted.suspend()
        former = signal.signal(signal.SIGALRM, interrupt)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.3)
            with pytest.raises(Interruption):
                sandbox.parse_environment({"conda.yaml": content}, {})
        finally:
            signal.signal(signal.SIGALRM, former)

        assert sandbox.parse_environment(ENVIRONMENT, {}).environment.python_version == "3.9", at
        assert not interrupted.is_running()


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


def test_workers_do_not_outlive_a_killed_product() -> None:
    program = (
        "import time, psutil; from verifywise_mlflow.artifacts.sandbox.client import Sandbox; s = Sandbox();"
        "s.parse_environment({'conda.yaml': b''}, {});"
        "print(*(child.pid for child in psutil.Process().children()), flush=True); time.sleep(60)"
    )
    product = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert product.stdout is not None
    pids = [int(pid) for pid in product.stdout.readline().split()]
    product.kill()
    product.communicate()

    assert len(pids) == 1
    until = time.monotonic() + 10
    while any(map(_is_alive, pids)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(map(_is_alive, pids))


def _is_alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
