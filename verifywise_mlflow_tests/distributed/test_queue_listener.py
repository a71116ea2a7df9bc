"""A run that is queued in one process wakes the daemon in another process, through Dagster's database."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from verifywise_mlflow.defs.dagster_compat.connections import postgres_url
from verifywise_mlflow.defs.run_queue.queue_signal import announce_run
from verifywise_mlflow.distributed.queue_listener import set_on_new_runs
from verifywise_mlflow_tests.defs.production import production_instance, set_dagster_database


def test_a_daemon_that_listens_is_notified_of_a_run(
    empty_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_dagster_database(empty_database_url, monkeypatch)
    with production_instance(tmp_path / "home", {}) as instance:
        has_new_run, is_over = threading.Event(), threading.Event()
        thread = threading.Thread(target=set_on_new_runs, args=(has_new_run, postgres_url(instance), is_over))
        thread.start()
        try:
            assert has_new_run.wait(20), "set once at the start: runs may have been queued before"
            has_new_run.clear()
            assert not has_new_run.wait(0.3)

            announce_run(instance)

            assert has_new_run.wait(20)
        finally:
            is_over.set()
            thread.join()
