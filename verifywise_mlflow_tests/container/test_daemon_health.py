"""The daemon is healthy if its newest heartbeat in Dagster's database is recent."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
from dagster._daemon.types import DaemonHeartbeat  # the content of a heartbeat of the daemon

from verifywise_mlflow.container.daemon_health import daemon_problem, database_of
from verifywise_mlflow.container.health import problem
from verifywise_mlflow.container.services import Service
from verifywise_mlflow.dagster_yaml import instance_config
from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres
from verifywise_mlflow_tests.defs.production import production_instance, set_dagster_database
from verifywise_mlflow_tests.support.databases import empty_database

NOW = datetime(2026, 3, 3, 14, 30, tzinfo=UTC).timestamp()


@pytest.fixture(scope="module")
def instance(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    with pytest.MonkeyPatch.context() as variables, empty_database(postgres) as url:
        set_dagster_database(url, variables)
        with production_instance(tmp_path_factory.mktemp("home"), {}) as instance:
            yield instance


@pytest.fixture
def environment(instance: dg.DagsterInstance) -> Mapping[str, str]:
    instance.wipe_daemon_heartbeats()
    return {**os.environ, "DAGSTER_HOME": instance.root_directory}


def report(instance: dg.DagsterInstance, daemon: str, age: float) -> None:
    instance.add_daemon_heartbeat(DaemonHeartbeat(NOW - age, daemon, "this daemon", []))


def test_a_daemon_that_reported_lately_is_healthy(instance: dg.DagsterInstance, environment: Mapping[str, str]) -> None:
    report(instance, "SENSOR", age=20)
    report(instance, "BACKFILL", age=900)  # if this lasts for half an hour, the daemon ends itself

    assert daemon_problem(environment, NOW) is None


def test_a_daemon_that_hangs_is_not(instance: dg.DagsterInstance, environment: Mapping[str, str]) -> None:
    report(instance, "SENSOR", age=400)
    report(instance, "BACKFILL", age=900)

    assert daemon_problem(environment, NOW) == "The daemon's last heartbeat is 400 s old; 330 s are allowed"


def test_dagster_s_variable_sets_how_late_a_heartbeat_may_be(
    instance: dg.DagsterInstance, environment: Mapping[str, str]
) -> None:
    report(instance, "SENSOR", age=400)

    assert daemon_problem({**environment, "DAGSTER_DAEMON_HEARTBEAT_TOLERANCE": "600"}, NOW) is None


def test_a_daemon_that_never_reported_is_not(environment: Mapping[str, str]) -> None:
    assert daemon_problem(environment, NOW) == "The daemon has not reported yet"


def test_a_database_that_refuses_is_the_reason_without_the_password(environment: Mapping[str, str]) -> None:
    found = daemon_problem({**environment, "DAGSTER_PG_PORT": "1", "DAGSTER_PG_PASSWORD": "hunter2-hunter2"}, NOW)

    assert found is not None
    assert found.startswith("Dagster's database cannot be read: ")
    assert "hunter2" not in found


def test_an_instance_that_is_stored_elsewhere_is_left_to_dagster_s_own_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin:/bin")  # where the command is looked up
    with production_instance(tmp_path, {}, in_sqlite=True):
        pass

    found = problem(Service.DAEMON, dict(os.environ) | {"DAGSTER_HOME": str(tmp_path)})

    assert found is not None
    assert "dagster-daemon liveness-check exited with 1" in found


@pytest.mark.parametrize("home", ["", "no-such-folder"])
def test_without_dagster_yaml_the_daemon_is_not_healthy(home: str, tmp_path: Path) -> None:
    found = daemon_problem({"DAGSTER_HOME": str(tmp_path / home)}, NOW)

    assert found == "dagster.yaml cannot be read: FileNotFoundError"


IN_THE_CHART = {
    "hostname": "db",
    "port": 6432,
    "username": "dagster",
    "password": {"env": "DAGSTER_PG_PASSWORD"},
    "db_name": "runs",
    "params": {"sslmode": "verify-full"},
}


@pytest.mark.parametrize(
    ("instance_file", "expected"),
    [
        (
            instance_config({}),
            {"host": "h", "port": "5", "user": "u", "password": "p", "dbname": "d"},
        ),
        (
            {"storage": {"postgres": {"postgres_db": IN_THE_CHART}}},
            {
                "host": "db",
                "port": "6432",
                "user": "dagster",
                "password": "p",
                "dbname": "runs",
                "sslmode": "verify-full",
            },
        ),
        ({"storage": {"postgres": {"postgres_url": "postgresql://h/d"}}}, None),
        ({"storage": {"postgres": {"postgres_db": {"hostname": {"env": "UNSET"}, "db_name": "d"}}}}, None),
        ({}, None),
        (None, None),
    ],
    ids=["ours", "chart", "url", "incomplete", "empty", "no content"],
)
def test_the_database_is_read_from_dagster_yaml(instance_file: object, expected: Mapping[str, str] | None) -> None:
    names = {"HOST": "h", "PORT": "5", "USERNAME": "u", "PASSWORD": "p", "DB": "d"}
    environment = {f"DAGSTER_PG_{name}": value for name, value in names.items()}

    assert database_of(instance_file, environment) == expected
