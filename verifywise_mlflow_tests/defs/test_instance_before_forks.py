"""A worker opens an instance before it forks: no connection crosses the fork, and no run looks up columns again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import psycopg2
import pytest
from sqlalchemy import event

from verifywise_mlflow.defs.dagster_compat.connections import open_before_forks
from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres
from verifywise_mlflow_tests.defs.production import production_instance, set_dagster_database
from verifywise_mlflow_tests.support.databases import empty_database


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def database(postgres: EmbeddedPostgres, home: Path) -> Iterator[str]:
    """The URL of a database with Dagster's tables, which the environment names."""
    with pytest.MonkeyPatch.context() as variables, empty_database(postgres) as url:
        set_dagster_database(url, variables)
        with production_instance(home, {}):
            yield url


@pytest.fixture(autouse=True)
def _home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(home))


@pytest.fixture
def opened(database: str) -> dg.DagsterInstance:
    instance = open_before_forks()
    assert instance is not None
    return instance


def sessions(url: str) -> int:
    query = """
        SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()
            AND backend_type = 'client backend'  -- autovacuum has sessions, too
    """
    connection = psycopg2.connect(url)
    try:
        with connection.cursor() as cursor:
            cursor.execute(query)
            (count,) = cursor.fetchone() or (None,)
    finally:
        connection.close()
    assert isinstance(count, int)
    return count


def test_no_connection_crosses_the_fork_and_the_child_opens_its_own(opened: dg.DagsterInstance, database: str) -> None:
    assert sessions(database) == 0

    child = os.fork()
    if not child:
        os._exit(0 if opened.get_runs_count() == 0 and sessions(database) == 1 else 1)
    _pid, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0


def lookups(instance: dg.DagsterInstance) -> int:
    """Return how often an instance looks up its tables and columns while it does what a run does."""
    statements: list[str] = []
    for engine in {getattr(storage, "_engine") for storage in (instance.run_storage, instance.event_log_storage)}:  # noqa: B009  # Postgres' have one
        event.listen(engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2]))
    instance.get_run_records(limit=1)
    instance.get_asset_records()
    instance.report_runless_asset_event(dg.AssetMaterialization("asset", tags={"key": "value"}))
    instance.has_dynamic_partition("tenant", "acme")
    return sum("pg_catalog" in statement for statement in statements)


def test_no_run_looks_tables_and_columns_up(opened: dg.DagsterInstance) -> None:
    with dg.DagsterInstance.get() as unprepared:
        assert lookups(unprepared) > 3, "the search finds what is there"

    assert lookups(opened) == 0


def test_daemon_and_webserver_look_each_up_once(database: str) -> None:
    with dg.DagsterInstance.get() as instance:
        assert instance.run_coordinator  # daemon and webserver both load it

        assert lookups(instance) > 0
        assert lookups(instance) == 0


def test_an_instance_without_its_database_is_left_to_the_run(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_PG_PORT", "1")

    assert open_before_forks() is None
