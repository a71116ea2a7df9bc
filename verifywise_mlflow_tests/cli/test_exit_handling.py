"""Every command ends with a sentence and a documented exit code, and never with a traceback."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import pytest
from sqlalchemy import text

from verifywise_mlflow.cli.command_catalog import EXIT_CODES
from verifywise_mlflow.demo.workdir import Workdir
from verifywise_mlflow.persistence.repositories import audit_log
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow_tests.persistence.schema_lock import wait_for_a_blocked_upgrade
from verifywise_mlflow_tests.support.trail_entries import append, entry

COMMAND = (sys.executable, "-m", "verifywise_mlflow.cli")


def shell(line: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a line of a shell in which ``$V`` is the command line."""
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", line.replace("$V", " ".join(COMMAND))],
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("line", "code", "complaint"),
    [
        ("$V frameworks --json > /dev/full", 1, "input or output failed: No space left on device\n"),
        ("$V frameworks > /dev/full", 1, "input or output failed: No space left on device\n"),
        ("$V --help > /dev/full", 1, "input or output failed: No space left on device\n"),
        ("$V --help | true", 141, ""),
        ("$V frameworks >&-", 0, ""),
    ],
)
def test_an_unwritable_output_ends_without_a_traceback(line: str, code: int, complaint: str) -> None:
    process = shell(line)

    assert (process.returncode, process.stderr) == (code, complaint)
    assert code in EXIT_CODES


def test_a_broken_pipe_ends_quietly_with_its_exit_code(store: Store, database_url: str) -> None:
    append(store, *(entry(number, "why " * 200) for number in range(200)))  # more than fits into the buffer of a pipe

    process = shell("$V audit export acme | head -1", {"VERIFYWISE_DATABASE_URL": database_url})

    assert (process.returncode, process.stderr) == (141, "")
    assert len(process.stdout.splitlines()) == 1


def test_characters_that_the_terminal_cannot_encode_are_escaped() -> None:
    process = shell("$V policy check Bürö.yaml", {"PYTHONIOENCODING": "ascii"})

    assert (process.returncode, process.stderr) == (1, "")
    assert process.stdout == "B\\xfcr\\xf6.yaml: cannot be read: No such file or directory\n"


def test_the_demo_escapes_such_characters_too(tmp_path: Path) -> None:
    home = Workdir(tmp_path / "Bürö")

    with home.locked():
        process = shell(f"$V demo --home {home.path}", {"PYTHONIOENCODING": "ascii", "COLUMNS": "1000"})

    assert (process.returncode, process.stderr) == (1, "")
    assert "another demo runs in " in process.stdout
    assert "/B\\xfcr\\xf6:" in process.stdout


@pytest.mark.parametrize(
    ("number", "options"), [(signal.SIGINT, ["--json"]), (signal.SIGTERM, []), (signal.SIGHUP, [])]
)
def test_an_interrupted_sync_says_so_and_does_not_block_the_next_one(
    number: signal.Signals, options: list[str], store: Store, database_url: str, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(120)
        tenants = tmp_path / "tenants.yaml"
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        tenants.write_text(f"tenants:\n  acme: {{tracking_uri: '{uri}', allow_private_network: true}}\n")
        environment = {"VERIFYWISE_TENANTS": str(tenants), "VERIFYWISE_DATABASE_URL": database_url}
        with on_a_terminal(["sync", "acme", *options], environment) as (running, terminal), silent.accept()[0]:
            if number == signal.SIGHUP:
                terminal.close()
            running.send_signal(number)
            output, _ = running.communicate(timeout=120)
            terminal_text = terminal.text()

    assert running.returncode == 130
    if options:
        assert json.loads(output) == {"outcome": "failed", "error": "interrupted"}
    elif number != signal.SIGHUP:  # after a hangup, no output is possible
        assert "interrupted" in terminal_text
        assert terminal_text.rindex("\x1b[?25h") > terminal_text.rindex("\x1b[?25l"), (
            "the bar hid the cursor, and shows it again"
        )
    with store.begin("acme") as session:
        (end_entry,) = (entry for _, entry in audit_log.entries(session, limit=10) if entry.kind == "sync ended")
    assert (end_entry.outcome, end_entry.reason) == ("failed", "registered_models: the sync was interrupted")
    with store.exclusive("acme", wait_seconds=0):
        pass  # nobody holds the lock


def test_a_command_interrupted_while_waiting_for_the_database_ends_cleanly(store: Store, database_url: str) -> None:
    with store.engine.connect() as connection:
        connection.execute(text("LOCK TABLE verifywise_mlflow.alembic_version IN ACCESS SHARE MODE"))
        with on_a_terminal(["db", "upgrade"], {"VERIFYWISE_DATABASE_URL": database_url}) as (running, terminal):
            wait_for_a_blocked_upgrade(store.engine)
            running.send_signal(signal.SIGTERM)
            connection.rollback()
            assert running.wait(120) == 130
            assert "interrupted" in terminal.text()


@contextmanager
def on_a_terminal(
    arguments: Sequence[str], environment: Mapping[str, str]
) -> Iterator[tuple[subprocess.Popen[str], Terminal]]:
    """Run the command line with its standard error on a terminal. The process ends with the block at the latest."""
    controller, terminal_end = pty.openpty()
    with (
        Terminal(controller) as terminal,
        subprocess.Popen(
            # If a shell runs the tests in the background, they ignore Ctrl-C, and Dagster then ignores SIGTERM, too.
            ["env", "--default-signal=INT,HUP,TERM", *COMMAND, *arguments],
            env={**os.environ, "TERM": "xterm", **environment},
            stdout=subprocess.PIPE,
            stderr=terminal_end,
            text=True,
        ) as running,
    ):
        os.close(terminal_end)
        try:
            yield running, terminal
        finally:
            running.kill()


class Terminal:
    """Reads what is written to a terminal, so that the writer never waits. The context closes it at the end."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._read: list[bytes] = []
        self._is_closed = threading.Event()
        self._reader = threading.Thread(target=self._drain)

    def __enter__(self) -> Terminal:
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the terminal, as a user who closes its window does."""
        self._is_closed.set()
        self._reader.join()

    def text(self) -> str:
        """Return all that was written, once the last writer has gone."""
        self._reader.join(120)
        return b"".join(self._read).decode()

    def _drain(self) -> None:
        try:
            while not self._is_closed.is_set():
                if select.select([self._descriptor], [], [], 0.05)[0]:
                    self._read.append(os.read(self._descriptor, 65536))
        except OSError:  # EIO: the last writer has gone
            pass
        finally:
            os.close(self._descriptor)
