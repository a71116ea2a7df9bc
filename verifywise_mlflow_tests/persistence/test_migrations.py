"""The initial migration, and an upgrade to a later revision with rows in every table: no row is lost or changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from verifywise_mlflow.persistence import database, role_grants
from verifywise_mlflow.persistence.database import connect
from verifywise_mlflow.persistence.errors import DatabaseError
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.persistence.tables import SCHEMA
from verifywise_mlflow_tests.persistence.row_factories import ROWS, PgConnection, fill
from verifywise_mlflow_tests.persistence.schema_catalog import all_rows, catalog, differences_from_code
from verifywise_mlflow_tests.persistence.synthetic_revision import (
    INITIAL_REVISION,
    LATER_REVISION,
    migrations_with_a_second_revision,
)
from verifywise_mlflow_tests.support.login_roles import login_role, new_name
from verifywise_mlflow_tests.support.trail_entries import NOW

TENANTS = ("acme", "globex")


@pytest.fixture
def connection(empty_database_url: str) -> Iterator[PgConnection]:
    """A connection of the owner to a database at the initial revision, with rows of two tenants in every table."""
    database.upgrade(empty_database_url)
    with closing(psycopg2.connect(empty_database_url)) as connection:
        connection.autocommit = True
        for tenant in TENANTS:
            fill(connection, tenant)
        yield connection


def test_the_initial_migration_makes_the_tables_that_the_code_defines(empty_database_url: str) -> None:
    assert database.upgrade(empty_database_url) == INITIAL_REVISION

    engine = connect(empty_database_url)
    with engine.connect() as connection:
        assert differences_from_code(connection) == []
    engine.dispose()


def test_json_and_arrays_are_compressed_by_the_faster_method_where_the_server_has_it(connection: PgConnection) -> None:
    # The tests' server was built without lz4: the same statements set the method that every server has.
    statements = (database.MIGRATIONS / "versions" / "0001_initial" / "compression.sql").read_text(encoding="utf-8")
    with connection.cursor() as cursor:
        cursor.execute(statements.replace("{schema}", SCHEMA).replace("lz4", "pglz"))
        cursor.execute(
            """
            SELECT DISTINCT typcategory = 'A', attcompression::text
            FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid JOIN pg_type ON pg_type.oid = atttypid
            WHERE relnamespace = %s::regnamespace AND relkind IN ('r', 'p') AND NOT attisdropped
            AND (atttypid IN ('json'::regtype, 'jsonb'::regtype) OR typcategory = 'A')
            ORDER BY 1
            """,
            [SCHEMA],
        )
        assert cursor.fetchall() == [(False, "p"), (True, "p")]


def test_the_revisions_in_file_names_are_those_that_alembic_finds() -> None:
    config = Config()
    config.set_main_option("script_location", str(database.MIGRATIONS))

    assert database.newest_revision() == ScriptDirectory.from_config(config).get_current_head()


def test_upgrading_again_changes_neither_a_row_nor_the_catalog(
    connection: PgConnection, empty_database_url: str
) -> None:
    before, rows_before = catalog(connection), all_rows(connection)
    assert all(rows_before.values())

    assert database.upgrade(empty_database_url) == INITIAL_REVISION

    assert (catalog(connection), all_rows(connection)) == (before, rows_before)


def test_an_upgrade_to_a_later_revision_keeps_every_row_and_the_triggers(
    connection: PgConnection, empty_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = all_rows(connection)
    monkeypatch.setattr(database, "MIGRATIONS", migrations_with_a_second_revision(tmp_path / "migrations"))
    with pytest.raises(
        DatabaseError, match=f"at revision {INITIAL_REVISION}, this code needs {LATER_REVISION}: run .* db upgrade"
    ):
        Store(empty_database_url)

    assert database.upgrade(empty_database_url) == LATER_REVISION

    after = all_rows(connection)
    assert {
        table: [{k: v for k, v in row.items() if k != "note"} for row in after[table]] for table in before
    } == before
    assert {"note"} == after["canonical_records"][0].keys() - before["canonical_records"][0].keys()
    assert_triggers_save_former_states_and_refuse_changes_of_the_trail(connection)


def test_a_revision_that_this_code_does_not_know_is_neither_used_nor_upgraded(
    empty_database_url: str, tmp_path: Path
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "MIGRATIONS", migrations_with_a_second_revision(tmp_path / "migrations"))
        database.upgrade(empty_database_url)

    for open_schema in (Store, database.upgrade, database.check):
        with pytest.raises(DatabaseError, match=f"at revision {LATER_REVISION}, which this code does not know"):
            open_schema(empty_database_url)


def test_history_and_the_trail_are_guarded_by_triggers(connection: PgConnection) -> None:
    assert_triggers_save_former_states_and_refuse_changes_of_the_trail(connection)


def test_a_reader_sees_its_tenants_rows_of_every_table_and_no_others(
    connection: PgConnection, empty_database_url: str
) -> None:
    with login_role(empty_database_url, new_name("reader")) as role:
        with Store(empty_database_url) as store, store.begin_shared() as shared:
            role_grants.grant(shared, role.name, "reader", "acme", NOW)
        with closing(psycopg2.connect(role.url)) as reader:
            visible = all_rows(reader, excluding="tenant_locks")
    visible_tables = {table for table, rows in visible.items() if rows}
    assert {row["tenant_id"] for table in visible_tables for row in visible[table]} == {"acme"}
    assert visible_tables == {*all_rows(connection)} - {"tenant_locks"}


def assert_triggers_save_former_states_and_refuse_changes_of_the_trail(connection: PgConnection) -> None:
    changes = {
        "canonical_records": "owner = 'new', fingerprint = 'new', sync_id = 'new'",
        "version_verdicts": "verdicts[1] = 'new', sync_ids[1] = 'new'",
        "compliance_badges": "badge = 'new', sync_id = 'new'",
    }
    with connection.cursor() as cursor:
        for table, change in changes.items():
            history = table.removesuffix("s") + "_history"
            cursor.execute(f"SELECT count(*) FROM {SCHEMA}.{history}")
            (count,) = cursor.fetchone() or (0,)
            cursor.execute(f"UPDATE {SCHEMA}.{table} SET {change}")
            cursor.execute(f"SELECT count(*) FROM {SCHEMA}.{history}")
            assert cursor.fetchone() == (count + len(TENANTS) * ROWS,)
        for statement in ("UPDATE {}.audit_trail SET entry = '{{}}'", "DELETE FROM {}.audit_trail"):
            with pytest.raises(psycopg2.errors.IntegrityConstraintViolation, match="append-only"):
                cursor.execute(statement.format(SCHEMA))
