"""A real worker touches its file while it can take runs, and logs nothing but JSON if JSON is requested."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import verifywise_mlflow
from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres
from verifywise_mlflow.demo.servers.process import ChildProcess, child_environment
from verifywise_mlflow.distributed.heartbeat import HEARTBEAT_FILE, MAX_AGE_SECONDS, heartbeat_problem
from verifywise_mlflow_tests.distributed.brokers import Redis
from verifywise_mlflow_tests.distributed.installation import wait_for
from verifywise_mlflow_tests.support.databases import migrated_database

pytestmark = pytest.mark.slow(seconds=20)


@dataclass(slots=True)
class Worker:
    """A worker with its broker."""

    broker: Redis
    process: ChildProcess
    heartbeat: Path
    log: Path

    def await_heartbeat(self) -> None:
        """Wait until the worker has touched its file after now."""
        now = time.time()
        wait_for(
            lambda: self.heartbeat.exists() and self.heartbeat.stat().st_mtime > now, 60, f"a heartbeat: {self.log}"
        )

    def is_silent(self) -> bool:
        """Return whether no heartbeat comes within ten of its intervals."""
        before = self.heartbeat.stat().st_mtime_ns
        time.sleep(1)
        return self.heartbeat.stat().st_mtime_ns == before


@pytest.fixture(scope="module")
def worker(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    home = tmp_path_factory.mktemp("worker")
    with Redis(home / "redis") as broker, migrated_database(postgres) as url:
        assert isinstance(broker, Redis)
        environment = child_environment(
            **{HEARTBEAT_FILE: str(home / "heartbeat")},
            VERIFYWISE_BROKER_URL=broker.url,
            VERIFYWISE_DATABASE_URL=url,
            VERIFYWISE_LOG_FORMAT="json",
            DAGSTER_HOME=str(home),
            PYTHONPATH=str(Path(verifywise_mlflow.__file__).parents[1]),
        )
        command = [sys.executable, "-m", "verifywise_mlflow_tests.distributed.eager_worker", "1"]
        with ChildProcess("worker", command, log=home / "log", env=environment, cwd=home) as process:
            started = Worker(broker, process, home / "heartbeat", home / "log")
            started.await_heartbeat()
            yield started


def test_a_worker_that_hangs_sends_no_heartbeat_until_it_goes_on(worker: Worker) -> None:
    assert heartbeat_problem(worker.heartbeat, time.time()) is None

    os.kill(worker.process.pid, signal.SIGSTOP)
    try:
        assert worker.is_silent()
        found = heartbeat_problem(worker.heartbeat, time.time() + MAX_AGE_SECONDS)
    finally:
        os.kill(worker.process.pid, signal.SIGCONT)

    assert found is not None
    worker.await_heartbeat()


def test_a_worker_that_lost_its_broker_sends_no_heartbeat_until_it_is_back(worker: Worker) -> None:
    worker.broker.stop()
    try:
        wait_for(worker.is_silent, 30, "the end of the heartbeats")
    finally:
        worker.broker.start()

    worker.await_heartbeat()


def test_each_line_of_a_worker_is_json(worker: Worker) -> None:
    lines = [json.loads(line) for line in worker.log.read_text().splitlines()]

    assert any("ready" in line["message"] for line in lines)
    assert {line["level"] for line in lines} <= {"info", "warning", "error"}
