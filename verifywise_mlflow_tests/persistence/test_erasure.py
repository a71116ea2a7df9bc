"""Erasing a tenant deletes everything of the tenant except the audit trail, and nothing of other tenants."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from typer.testing import CliRunner, Result

from verifywise_mlflow.cli import app
from verifywise_mlflow.common.os_user import operating_system_user
from verifywise_mlflow.persistence import erasure, role_grants
from verifywise_mlflow.persistence.errors import DatabaseError
from verifywise_mlflow.persistence.store import Store, TenantBusyError
from verifywise_mlflow.persistence.tables import metadata
from verifywise_mlflow.services.audit_signing import SIGNING_KEY_VARIABLE
from verifywise_mlflow_tests.persistence.row_factories import ROWS, PgConnection, fill, relations
from verifywise_mlflow_tests.support.login_roles import login_role, new_name
from verifywise_mlflow_tests.support.syncing import Row
from verifywise_mlflow_tests.support.trail_entries import NOW

RETAINED_TABLES = {"audit_trail", "audit_checkpoints", "checkpoint_receipts", "tenant_locks"}


@pytest.fixture
def filled(database_url: str, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PgConnection]:
    """Rows of two tenants in every table. The tenants.yaml has only the tenant that is not erased."""
    (tmp_path / "tenants.yaml").write_text("tenants:\n  globex: {tracking_uri: 'https://mlflow.example'}\n")
    monkeypatch.setenv("VERIFYWISE_TENANTS", str(tmp_path / "tenants.yaml"))
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", database_url)
    with closing(psycopg2.connect(database_url)) as connection:
        connection.autocommit = True
        fill(connection, "acme")
        fill(connection, "globex")
        yield connection


def run(*arguments: str, typed: str | None = None) -> Result:
    return CliRunner().invoke(app, ["tenants", *arguments], input=typed)


def rows_by_table(connection: PgConnection, tenant_id: str) -> dict[str, list[Row]]:
    """Return a tenant's rows of each table, as JSON."""
    rows = {}
    with connection.cursor() as cursor:
        for table in relations(connection, "r"):
            cursor.execute(
                f"SELECT to_jsonb(t) FROM verifywise_mlflow.{table} AS t WHERE tenant_id = %s "
                "ORDER BY (to_jsonb(t) ->> 'sequence')::int, to_jsonb(t)",
                [tenant_id],
            )
            rows[table] = [row for (row,) in cursor.fetchall()]
    return rows


def test_an_erasure_keeps_the_audit_trail_and_the_other_tenants(filled: PgConnection, store: Store) -> None:
    before, other_tenant_before = rows_by_table(filled, "acme"), rows_by_table(filled, "globex")
    assert all(before.values())

    result = run("erase", "acme", "--yes", "--json")

    assert result.exit_code == 0, result.output
    after = rows_by_table(filled, "acme")
    assert {table for table, rows in after.items() if rows} == RETAINED_TABLES
    assert after["audit_checkpoints"] == before["audit_checkpoints"]
    assert after["audit_trail"][:ROWS] == before["audit_trail"]
    revocations = [json.loads(str(row["entry"])) for row in after["audit_trail"][ROWS:-1]]
    assert [entry["kind"] for entry in revocations] == ["access revoked"] * ROWS, "of its readers"
    assert rows_by_table(filled, "globex") == other_tenant_before
    entry = json.loads(str(after["audit_trail"][-1]["entry"]))
    counts = {table: len(rows) for table, rows in before.items() if table not in RETAINED_TABLES}
    assert entry["counts"] == counts == json.loads(result.stdout)["rows"]
    assert (entry["kind"], entry["outcome"]) == ("tenant erased", "complete")
    assert entry["actor"] == {
        "os_user": operating_system_user(),
        "database_role": store.engine.url.username,
        "dagster_user": None,
    }
    assert entry["source_uri"] == before["tenants"][0]["tracking_uri"]


def test_the_trail_of_an_erased_tenant_is_signed_if_there_is_a_key(
    filled: PgConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = tmp_path / "key.pem"
    assert CliRunner().invoke(app, ["audit", "new-key", str(key)]).exit_code == 0
    monkeypatch.setenv(SIGNING_KEY_VARIABLE, f"file:{key}")

    assert run("erase", "acme", "--yes").exit_code == 0

    after = rows_by_table(filled, "acme")
    assert after["audit_checkpoints"][-1]["sequence"] == after["audit_trail"][-1]["sequence"] == 2 * ROWS + 1


def test_every_tenant_table_is_erased_or_explicitly_retained() -> None:
    erased = {table.name for table in erasure.erased_tables()}

    assert erased | RETAINED_TABLES == {table.name for table in metadata.tables.values()}
    assert not erased & RETAINED_TABLES


def test_a_tenant_that_is_in_tenants_yaml_is_not_erased(filled: PgConnection) -> None:
    before = rows_by_table(filled, "globex")

    result = run("erase", "globex", "--yes")

    assert result.exit_code == 2
    assert "tenants.yaml still has globex: remove it there first" in result.output
    assert rows_by_table(filled, "globex") == before


def test_nothing_is_erased_without_tenants_yaml(filled: PgConnection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VERIFYWISE_TENANTS")
    before = rows_by_table(filled, "acme")

    assert run("erase", "acme", "--yes").exit_code == 2
    assert rows_by_table(filled, "acme") == before


@pytest.mark.parametrize("typed", ["globex\n", "yes\n", "Acme\n", ""])
def test_nothing_is_erased_unless_the_name_is_typed(filled: PgConnection, typed: str) -> None:
    before = rows_by_table(filled, "acme")

    result = run("erase", "acme", typed=typed)

    assert result.exit_code == 1
    assert "canonical_records" in result.output
    assert rows_by_table(filled, "acme") == before


def test_typing_the_name_erases_the_tenant_after_a_preview(filled: PgConnection) -> None:
    result = run("erase", "acme", typed="acme\n")

    assert result.exit_code == 0, result.output
    preview = dict(line.split() for line in result.output.splitlines() if len(line.split()) == 2)
    assert int(preview["canonical_record_history"]) == ROWS
    assert "The audit trail and its checkpoints stay" in result.output
    assert not rows_by_table(filled, "acme")["tenants"]


def test_json_output_requires_yes(filled: PgConnection) -> None:
    result = run("erase", "acme", "--json")

    assert (result.exit_code, json.loads(result.stdout)["outcome"]) == (2, "failed")
    assert rows_by_table(filled, "acme")["tenants"]


def test_erasing_an_unknown_tenant_is_an_error(filled: PgConnection) -> None:
    result = run("erase", "acmee", "--yes")

    assert result.exit_code == 3
    assert "the database holds nothing of a tenant 'acmee'" in result.output


def test_a_tenant_with_a_running_sync_is_not_erased(filled: PgConnection, store: Store, database_url: str) -> None:
    with Store(database_url) as other, other.exclusive("acme"), pytest.raises(TenantBusyError):
        erasure.erase(store, "acme", NOW)

    assert rows_by_table(filled, "acme")["tenants"]


def test_only_the_owner_may_erase(
    filled: PgConnection, database_url: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with login_role(database_url, new_name("pipeline")) as role:
        with store.begin_shared() as connection:
            role_grants.grant(connection, role.name, "pipeline", None, NOW)
        monkeypatch.setenv("VERIFYWISE_DATABASE_URL", role.url)

        result = run("erase", "acme", "--yes")
        with Store(role.url) as restricted, pytest.raises(DatabaseError, match="the schema's owner"):
            erasure.erase(restricted, "acme", NOW)

    assert result.exit_code == 1
    assert "erasing a tenant needs the rights of the schema's owner" in " ".join(result.output.split())
    assert rows_by_table(filled, "acme")["tenants"]


def test_readers_of_an_erased_tenant_cannot_read_a_later_one_of_its_name(
    filled: PgConnection, database_url: str, store: Store
) -> None:
    with login_role(database_url, new_name("reader")) as role:
        with store.begin_shared() as connection:
            role_grants.grant(connection, role.name, "reader", "acme", NOW)

        erasure.erase(store, "acme", NOW)
        fill(filled, "acme")

        with (
            closing(psycopg2.connect(role.url)) as connection,
            connection.cursor() as cursor,
            pytest.raises(psycopg2.errors.InsufficientPrivilege),
        ):
            cursor.execute("SELECT * FROM verifywise_mlflow.canonical_records")


def test_tenants_without_a_subcommand_lists_the_tenants(filled: PgConnection) -> None:
    assert "https://mlflow.example" in run().output
    assert list(json.loads(run("--json").stdout)) == ["globex"]
