"""The disaster drill of docs/how-to/back-up-and-restore.md, with Postgres' own programs.

The signed trail shows whether a restore is exact, and which entries it lost.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import psycopg2
import pytest

from verifywise_mlflow.audit.checkpoint import Checkpoint
from verifywise_mlflow.audit.tampering import Damage
from verifywise_mlflow.audit.verification import verify_chain
from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres, remove_postgres
from verifywise_mlflow.demo.servers.postgres_home import prepare_home
from verifywise_mlflow.persistence.database import check, newest_revision, upgrade
from verifywise_mlflow.persistence.repositories import audit_log
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.audit_signing import sign_chain_head
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.pipeline.database_snapshot import differences, snapshot
from verifywise_mlflow_tests.support.audit_chains import KEY
from verifywise_mlflow_tests.support.intact_records import assert_intact
from verifywise_mlflow_tests.support.registry import Registry
from verifywise_mlflow_tests.support.syncing import sync
from verifywise_mlflow_tests.support.trail_entries import append, entry

LOST = {
    *("canonical_record_history", "version_verdict_history", "compliance_badge_history", "history_usage"),
    *("lifecycle_events", "audit_trail", "state_log"),
}
"""The tables that lack rows that MLflow no longer shows. All other tables are equal after the next sync."""


def sign(store: Store) -> Checkpoint:
    """Sign the end of the trail, for a copy outside the database."""
    with store.begin("acme") as session:
        checkpoint = sign_chain_head(session, KEY, datetime.now(UTC))
    assert checkpoint is not None
    return checkpoint


def damage_of_trail(store: Store, *checkpoints: Checkpoint) -> Damage | None:
    """Verify the trail against checkpoints from outside the database."""
    with store.begin("acme") as session:
        links, stored = audit_log.links(session), audit_log.checkpoints(session)
        return verify_chain("acme", links, stored, checkpoints, [KEY.public]).damage


def test_a_restored_dump_is_exact_shows_what_it_lost_and_catches_up(
    registry: Registry,
    tenant: Tenant,
    store: Store,
    database_url: str,
    empty_database_url: str,
    postgres: EmbeddedPostgres,
    tmp_path: Path,
) -> None:
    programs = prepare_home(tmp_path / "no-data").programs
    dump = tmp_path / "verifywise.dump"
    registry.trained_version("churn")
    sync(tenant, store)
    before_dump = sign(store)
    in_dump = snapshot(database_url, exactly=True)
    run(programs / "pg_dump", "--format=custom", "--schema=verifywise_mlflow", "--file", dump, database_url)
    registry.client.set_registered_model_alias("churn", "champion", "1")
    sync(tenant, store)
    registry.client.delete_registered_model_alias("churn", "champion")
    registry.trained_version("churn")
    sync(tenant, store)
    after_dump = sign(store)

    run(programs / "pg_restore", "--exit-on-error", "--single-transaction", "--dbname", empty_database_url, dump)

    assert snapshot(empty_database_url, exactly=True) == in_dump
    checked = check(empty_database_url)
    assert (checked.revision, checked.protection_problems) == (newest_revision(), [])
    with closing(Store(empty_database_url)) as restored:
        assert damage_of_trail(restored, before_dump) is None
        assert_intact(restored)
        lost = damage_of_trail(restored, before_dump, after_dump)
        assert lost is not None
        assert lost.kind == "truncation"
        sync(tenant, restored)
        assert damage_of_trail(restored, before_dump) is None
        assert_intact(restored)
    # MLflow shows the new version again, but not the alias that came and went.
    lost_rows = differences(database_url, empty_database_url)
    assert set(lost_rows) == LOST
    assert [table for table, (_, extra) in lost_rows.items() if extra] == ["history_usage"]  # a sum per day


@pytest.fixture
def archive() -> Iterator[Path]:
    """A folder in which the account of Postgres may write."""
    folder = Path(tempfile.mkdtemp(prefix="verifywise-archive-"))
    prepare_home(folder / "no-data").give_to_account(folder)
    yield folder
    shutil.rmtree(folder)


def test_a_restore_to_a_point_in_time_undoes_an_accident_and_nothing_else(archive: Path) -> None:
    data, restored_data = archive / "data", archive / "restored"
    home = prepare_home(data)
    with EmbeddedPostgres(data, databases=["store"]) as postgres:
        for setting, value in (("archive_mode", "on"), ("archive_command", f"cp %p {archive}/%f")):
            execute(postgres, f"ALTER SYSTEM SET {setting} = '{value}'")
    with EmbeddedPostgres(data, databases=["store"]) as postgres:
        upgrade(postgres.url("store"))
        with closing(Store(postgres.url("store"))) as store:
            append(store, entry(1))
            backup = home.run("pg_basebackup", "--pgdata", restored_data, "--dbname", postgres.url("postgres"))
            assert backup.returncode == 0, backup.stderr
            append(store, *map(entry, range(2, 9)))
            checkpoint = sign(store)
            before_accident = snapshot(postgres.url("store"), exactly=True)
            before = clock_of(postgres)
            execute(postgres, "DROP SCHEMA verifywise_mlflow CASCADE", database="store")
        execute(postgres, "SELECT pg_switch_wal()")

    (restored_data / "recovery.signal").touch()
    with (restored_data / "postgresql.auto.conf").open("a") as settings:
        settings.write(
            f"restore_command = 'cp {archive}/%f %p'\n"
            f"recovery_target_time = '{before}'\n"
            "recovery_target_action = 'promote'\n"
            "archive_mode = 'off'\n"
        )
    with EmbeddedPostgres(restored_data) as postgres:
        url = postgres.url("store")
        assert snapshot(url, exactly=True) == before_accident
        with closing(Store(url)) as store:
            assert damage_of_trail(store, checkpoint) is None
            append(store, entry(9))
            assert damage_of_trail(store, checkpoint) is None
    remove_postgres(restored_data)
    remove_postgres(data)


def run(program: Path, *arguments: str | Path) -> None:
    completed = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    assert completed.returncode == 0, completed.stderr


def clock_of(postgres: EmbeddedPostgres) -> str:
    with closing(psycopg2.connect(postgres.url("postgres"))) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()::text")
        return str(cursor.fetchone()[0])


def execute(postgres: EmbeddedPostgres, statement: str, database: str = "postgres") -> None:
    with closing(psycopg2.connect(postgres.url(database))) as connection:
        connection.autocommit = True  # neither ALTER SYSTEM nor DROP DATABASE runs in a transaction
        with connection.cursor() as cursor:
            cursor.execute(statement)
