"""The instances of a daemon or a code server share their connections to Dagster's database."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib import import_module
from pathlib import Path

import dagster as dg
import psycopg2
import pytest

from verifywise_mlflow.defs.dagster_compat.connections import share_connections, share_connections_of_code_server
from verifywise_mlflow_tests.defs.production import production_instance, set_dagster_database


@pytest.fixture
def instance(empty_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """A new instance in Postgres. Later instances of the process may share its connections."""
    set_dagster_database(empty_database_url, monkeypatch)
    for storage in ("event_log.event_log", "run_storage.run_storage", "schedule_storage.schedule_storage"):
        module = import_module(f"dagster_postgres.{storage}")
        monkeypatch.setattr(module, "create_pg_engine", module.create_pg_engine)
    with production_instance(tmp_path / "home", {}) as instance:
        yield instance


def opened_sessions(url: str) -> int:
    """Return how many connections to a database were ever opened, without the connection of this query."""
    query = "SELECT sessions FROM pg_stat_database WHERE datname = current_database()"
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        (count,) = cursor.fetchone() or (None,)
    assert isinstance(count, int)
    return count


def read_as_ticks_do(instance: dg.DagsterInstance) -> None:
    """Use each storage in new instances, one after the other."""
    for _ in range(5):
        with dg.DagsterInstance.from_ref(instance.get_ref()) as opened:
            opened.get_runs_count()
            opened.get_latest_materialization_event(dg.AssetKey("normalized_records"))
            opened.all_instigator_state()


def sessions_of(url: str, action: Callable[[], None]) -> int:
    before = opened_sessions(url)
    action()
    return opened_sessions(url) - before - 1


def test_instances_one_after_the_other_use_one_connection(
    instance: dg.DagsterInstance, empty_database_url: str
) -> None:
    assert sessions_of(empty_database_url, lambda: read_as_ticks_do(instance)) > 20, "Dagster opens one for each call"

    share_connections()

    assert sessions_of(empty_database_url, lambda: read_as_ticks_do(instance)) <= 1


def test_connections_that_postgres_has_closed_are_replaced(
    instance: dg.DagsterInstance, empty_database_url: str
) -> None:
    share_connections()
    with dg.DagsterInstance.from_ref(instance.get_ref()) as opened:
        assert opened.get_runs_count() == 0
        with closing(psycopg2.connect(empty_database_url)) as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            assert cursor.fetchall() == [(True,)]

        assert opened.get_runs_count() == 0


@pytest.mark.parametrize(
    ("command", "is_shared"),
    [
        (["dagster", "api", "grpc", "--port", "4000"], True),
        (["dagster", "api", "execute_run"], False),
        (["pytest"], False),
    ],
)
def test_only_a_code_server_shares_connections_when_it_loads_the_definitions(
    instance: dg.DagsterInstance,
    empty_database_url: str,
    command: list[str],
    is_shared: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "argv", command)

    share_connections_of_code_server()

    assert (sessions_of(empty_database_url, lambda: read_as_ticks_do(instance)) <= 1) is is_shared
