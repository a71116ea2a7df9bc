"""Dagster's internals are used in one package only, and an untested version of Dagster is reported."""

from __future__ import annotations

import ast
import logging
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import EmptyWorkspaceTarget
from dagster._daemon import sensor as sensor_daemon
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon

import verifywise_mlflow
from verifywise_mlflow.defs.dagster_compat.daemon import evaluate_sensors_every, look_at_queue_on
from verifywise_mlflow.defs.dagster_compat.tested_version import UntestedDagsterWarning, warn_if_untested
from verifywise_mlflow_tests.defs.production import production_instance

PACKAGE = Path(verifywise_mlflow.__file__).parent


def imported_modules(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module), names=names):
                yield from (f"{module}.{alias.name}" for alias in names)


@pytest.mark.parametrize("prefix", ["dagster._", "dagster_shared", "verifywise_mlflow.persistence.dagster_events"])
def test_only_dagster_compat_uses_dagsters_internals(prefix: str) -> None:
    users = {
        path.relative_to(PACKAGE).parent.as_posix()
        for path in PACKAGE.rglob("*.py")
        if any(module.startswith(prefix) for module in imported_modules(path))
    }
    assert users <= {"defs/dagster_compat"}


def test_the_installed_dagster_was_tested() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_if_untested(dg.__version__)


@pytest.mark.parametrize("version", ["1.14.0", "2.0.0rc1", "unknown"])
def test_a_newer_or_unknown_dagster_is_reported(version: str) -> None:
    with pytest.warns(UntestedDagsterWarning, match="was tested with versions up to 1.13"):
        warn_if_untested(version)


def test_a_canceled_run_ends_although_its_steps_are_retried() -> None:
    completed = subprocess.run(
        [sys.executable, "-m", "verifywise_mlflow_tests.defs.canceled_run"], capture_output=True, text=True, check=True
    )

    assert completed.stdout.split() in (["failed", "1"], ["canceled", "1"])


class RecordingEvent(threading.Event):
    """Records the durations for which a loop would wait, and returns without waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout or 0.0)
        return False


@pytest.fixture
def workspace_context(tmp_path: Path) -> Iterator[WorkspaceProcessContext]:
    """The context of a daemon without code locations, which checks its queue once a minute."""
    settings = {"VERIFYWISE_DEQUEUE_INTERVAL_SECONDS": "60"}
    with (
        production_instance(tmp_path / "home", settings, in_sqlite=True) as instance,
        WorkspaceProcessContext(instance, EmptyWorkspaceTarget()) as context,
    ):
        yield context


def test_the_daemon_looks_for_sensors_that_are_due_as_often_as_it_is_told(
    workspace_context: WorkspaceProcessContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sensor_daemon, "MIN_INTERVAL_LOOP_TIME", sensor_daemon.MIN_INTERVAL_LOOP_TIME)
    evaluate_sensors_every(1.0)

    event = RecordingEvent()
    loop = sensor_daemon.execute_sensor_iteration_loop(workspace_context, logging.getLogger(), event)
    while not event.waits:
        next(loop)

    assert 0 < event.waits[0] <= 1.0


def test_the_daemon_looks_at_the_queue_when_a_run_was_queued(
    workspace_context: WorkspaceProcessContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QueuedRunCoordinatorDaemon, "core_loop", QueuedRunCoordinatorDaemon.core_loop)
    looked, has_new_run, shutdown = threading.Semaphore(0), threading.Event(), threading.Event()
    look_at_queue_on(has_new_run)

    class Daemon(QueuedRunCoordinatorDaemon):
        def run_iteration(self, *_arguments: object) -> Iterator[None]:  # type: ignore[override]
            looked.release()
            yield None

    def run() -> None:
        for _ in Daemon(interval_seconds=60).core_loop(workspace_context, shutdown):
            if shutdown.is_set():
                return

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert looked.acquire(timeout=10)
        assert not looked.acquire(timeout=0.7), "nothing was queued"
        has_new_run.set()
        assert looked.acquire(timeout=10)
        assert not looked.acquire(timeout=0.7), "one look for each signal"
    finally:
        shutdown.set()
        thread.join()
