"""RabbitMQ delivers a message again as soon as its worker has disappeared. A run is still executed at most once."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres
from verifywise_mlflow_tests.distributed import planting
from verifywise_mlflow_tests.distributed.brokers import RabbitMQ
from verifywise_mlflow_tests.distributed.installation import Installation, installation, wait_for

pytestmark = [pytest.mark.slow(seconds=60), pytest.mark.timeout(600)]


@pytest.fixture
def installed(postgres: EmbeddedPostgres, tmp_path: Path) -> Iterator[Installation]:
    home = tmp_path / "rabbitmq_workers"
    home.mkdir()
    with installation(postgres, RabbitMQ(home / "rabbitmq"), home, with_dagster=False) as running:
        yield running


def test_a_killed_worker_s_run_is_lost_and_not_repeated_and_workers_outlive_the_broker(installed: Installation) -> None:
    killed = installed.start_worker()
    run_id = installed.launch_job(planting.waiting)
    wait_for(lambda: installed.status(run_id) is dg.DagsterRunStatus.STARTED, 60, "the start of the run")
    run = installed.instance.get_run_by_id(run_id)
    assert run is not None
    assert installed.instance.run_launcher.check_run_worker_health(run).status.value == "RUNNING"

    os.killpg(killed.pid, signal.SIGKILL)
    survivor = installed.start_worker()

    wait_for(lambda: f"run {run_id} is not executed: it is STARTED" in survivor.log.read_text(), 60, "the repetition")
    assert installed.instance.run_launcher.check_run_worker_health(run).status.value == "FAILED"

    installed.broker.stop()
    installed.broker.start()
    assert installed.await_end(installed.launch_job(planting.planting), 120) is dg.DagsterRunStatus.SUCCESS
