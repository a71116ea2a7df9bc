"""However a command ends, it ends with a sentence and a documented exit code, and never with a traceback."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from verifywise_mlflow.cli.guide import EXIT_CODES
from verifywise_mlflow.persistence import trail
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow_tests.persistence.test_trail import append, entry

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
        ("$V frameworks --json > /dev/full", 1, "the output cannot be written: No space left on device\n"),
        ("$V frameworks > /dev/full", 1, "the output cannot be written: No space left on device\n"),
        ("$V --help > /dev/full", 1, "the output cannot be written: No space left on device\n"),
        ("$V --help | true", 141, ""),
        ("$V frameworks >&-", 0, ""),
    ],
)
def test_an_output_that_takes_nothing_is_no_traceback(line: str, code: int, complaint: str) -> None:
    done = shell(line)

    assert (done.returncode, done.stderr) == (code, complaint)
    assert code in EXIT_CODES


def test_who_stops_reading_gets_no_complaint_and_a_code_that_says_so(store: Store, database_url: str) -> None:
    append(store, *(entry(number, "why " * 200) for number in range(200)))  # more than a pipe holds

    done = shell("$V audit export acme | head -1", {"VERIFYWISE_DATABASE_URL": database_url})

    assert (done.returncode, done.stderr) == (141, "")
    assert len(done.stdout.splitlines()) == 1


def test_letters_that_a_terminal_does_not_know_are_written_as_escapes() -> None:
    done = shell("$V policy check Bürö.yaml", {"PYTHONIOENCODING": "ascii"})

    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout == "B\\xfcr\\xf6.yaml: cannot be read: No such file or directory\n"


@pytest.mark.parametrize(("number", "options"), [(signal.SIGINT, ["--json"]), (signal.SIGTERM, [])])
def test_a_sync_that_is_stopped_says_so_and_the_next_one_is_not_kept_out(
    number: signal.Signals, options: list[str], store: Store, database_url: str, tmp_path: Path
) -> None:
    terminal, theirs = pty.openpty()
    with socket.create_server(("127.0.0.1", 0)) as silent, os.fdopen(terminal, "rb", buffering=0) as screen:
        silent.settimeout(120)
        tenants = tmp_path / "tenants.yaml"
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        tenants.write_text(f"tenants:\n  acme: {{tracking_uri: '{uri}', allow_private_network: true}}\n")
        running = subprocess.Popen(
            # A shell that runs the tests in the background has them, and all that they start, ignore Ctrl-C.
            ["env", "--default-signal=INT", *COMMAND, "sync", "acme", *options],
            env={**os.environ, "VERIFYWISE_TENANTS": str(tenants), "VERIFYWISE_DATABASE_URL": database_url},
            stdout=subprocess.PIPE,
            stderr=theirs,
        )
        os.close(theirs)
        with running, silent.accept()[0]:
            running.send_signal(number)
            answer, _ = running.communicate(timeout=120)
        told = answer.decode() if options else screen.read(65536).decode()

    assert running.returncode == 130
    if options:
        assert json.loads(told) == {"outcome": "failed", "error": "interrupted"}
    else:
        assert "interrupted" in told
        assert told.rindex("\x1b[?25h") > told.rindex("\x1b[?25l"), "the bar hid the cursor, and shows it again"
    with store.begin("acme") as connection:
        (ended,) = (one for _, one in trail.entries(connection, "acme", limit=10) if one.kind == "sync ended")
    assert (ended.outcome, ended.reason) == ("failed", "registered_models: it was interrupted")
    with store.exclusive("acme", wait_seconds=0):
        pass  # nobody holds the lock
