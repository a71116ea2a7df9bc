"""Child processes are stopped reliably, even if they or we are killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from verifywise_mlflow.demo.errors import ProcessFailedError
from verifywise_mlflow.demo.servers import watchdog
from verifywise_mlflow.demo.servers.ports import free_port
from verifywise_mlflow.demo.servers.process import ChildProcess, child_environment, wait_for_port

SPAWNS_ANOTHER = (
    "import subprocess, sys, time; "
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); "
    "print(child.pid, flush=True); time.sleep(600)"
)
IGNORES_REQUESTS = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(600)"
)


def python(program: str, log: Path) -> ChildProcess:
    return ChildProcess("The program", [sys.executable, "-c", program], log=log, env=child_environment())


def first_line(log: Path) -> str:
    deadline = time.monotonic() + 20
    while "\n" not in log.read_text():
        assert time.monotonic() < deadline, "it wrote nothing"
        time.sleep(0.02)
    return log.read_text().splitlines()[0]


def is_running(pid: int) -> bool:
    """Return whether a process runs. A zombie, which only its parent can reap, does not run."""
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 20
    while is_running(pid):
        assert time.monotonic() < deadline, f"process {pid} still runs"
        time.sleep(0.02)


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")


@needs_proc
def test_stopping_a_child_stops_its_descendants(tmp_path: Path) -> None:
    with python(SPAWNS_ANOTHER, tmp_path / "log"):
        grandchild = int(first_line(tmp_path / "log"))
        assert is_running(grandchild)
    wait_until_gone(grandchild)


@needs_proc
def test_a_child_that_ignores_the_signal_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "STOP_TIMEOUT_S", 0.3)
    with python(IGNORES_REQUESTS, tmp_path / "log") as child:
        first_line(tmp_path / "log")
    assert child.exit_code == -signal.SIGKILL


@needs_proc
def test_a_group_that_has_only_zombies_has_stopped() -> None:
    """In a container whose first process is not an init, nobody collects the exit code of an orphan."""
    process = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"], start_new_session=True)
    began = time.monotonic()

    watchdog.stop_groups({process.pid: signal.SIGTERM})

    assert time.monotonic() - began < watchdog.STOP_TIMEOUT_S / 2
    assert not is_running(process.pid)
    assert process.wait() == -signal.SIGTERM


@needs_proc
def test_the_children_of_a_killed_process_are_stopped(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time; from pathlib import Path\n"
            "from verifywise_mlflow.demo.servers.process import ChildProcess, child_environment\n"
            f"ChildProcess('it', [sys.executable, '-c', {SPAWNS_ANOTHER!r}], log=Path(sys.argv[1]),"
            " env=child_environment())\n"
            "time.sleep(600)",
            tmp_path / "log",
        ]
    )
    while not (tmp_path / "log").exists():
        time.sleep(0.02)
    grandchild = int(first_line(tmp_path / "log"))
    parent.kill()
    parent.wait()
    wait_until_gone(grandchild)


def test_a_child_handles_interrupts_even_if_we_ignore_them(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        child = python("print('ready', flush=True); import time; time.sleep(600)", tmp_path / "log")
        first_line(tmp_path / "log")
        os.kill(child.pid, signal.SIGINT)
        deadline = time.monotonic() + 20
        while child.is_alive() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not child.is_alive()
    finally:
        signal.signal(signal.SIGINT, before)
        child.stop()


def test_a_child_owns_a_port_only_if_it_or_a_descendant_listens(tmp_path: Path) -> None:
    port = free_port()
    listens = f"import http.server as h; h.HTTPServer(('127.0.0.1', {port}), h.BaseHTTPRequestHandler).serve_forever()"
    nested = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {listens!r}])"
    with python(nested, tmp_path / "log") as child, socket.create_server(("127.0.0.1", 0)) as own_socket:
        wait_for_port(child, port, seconds=20)
        assert not child.owns_port(own_socket.getsockname()[1])


def test_a_child_that_ends_during_start_shows_its_log(tmp_path: Path) -> None:
    with (
        python("raise SystemExit('no such database')", tmp_path / "log") as child,
        pytest.raises(ProcessFailedError, match=r"(?s)The program ended while it was starting.*no such database"),
    ):
        wait_for_port(child, free_port(), seconds=20)


def test_a_child_inherits_no_variables_of_other_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://mlflow.example.com")
    monkeypatch.setenv("PGHOST", "db.example.com")
    monkeypatch.setenv("https_proxy", "http://proxy.example.com:3128")
    monkeypatch.setenv("HOME", "/home/somebody")
    environment = child_environment(MLFLOW_DISABLE_TELEMETRY="true")
    assert environment["HOME"] == "/home/somebody"
    assert environment["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert not {"MLFLOW_TRACKING_URI", "PGHOST", "https_proxy"} & set(environment)


def test_a_preferred_port_is_used_if_free() -> None:
    port = free_port()
    assert free_port(port) == port
    with socket.create_server(("127.0.0.1", port)):
        assert free_port(port) not in {port, 0}
