"""A schema of VerifyWise, MLflow or Dagster is refused before anything in it is changed; ours may have another name."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import closing

import psycopg2
import pytest
from typer.testing import CliRunner

from verifywise_mlflow.cli import app
from verifywise_mlflow.persistence import database
from verifywise_mlflow.persistence.errors import DatabaseError
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.persistence.tables import SCHEMA
from verifywise_mlflow.persistence.tables.schema import schema_name_problem
from verifywise_mlflow_tests.support.login_roles import execute

OTHER_PRODUCTS = {
    "VerifyWise": ("alembic_version", "organizations", "projects", "users", "model_inventories"),
    "MLflow": ("alembic_version", "experiments", "runs", "registered_models", "model_versions"),
    "Dagster": ("alembic_version", "event_logs", "runs", "run_tags"),
}


@pytest.mark.parametrize("product", OTHER_PRODUCTS)
def test_a_schema_of_another_product_is_refused_and_unchanged(product: str, empty_database_url: str) -> None:
    execute(empty_database_url, f"CREATE SCHEMA {SCHEMA}")
    execute(empty_database_url, *(f"CREATE TABLE {SCHEMA}.{table} (id int)" for table in OTHER_PRODUCTS[product][1:]))
    execute(
        empty_database_url,
        f"CREATE TABLE {SCHEMA}.alembic_version (version_num varchar(32))",
        f"INSERT INTO {SCHEMA}.alembic_version VALUES ('0123456789ab')",
    )

    for open_schema in (database.upgrade, database.check, Store):
        with pytest.raises(DatabaseError, match=f"belongs to {product}: .* Set VERIFYWISE_SCHEMA to"):
            open_schema(empty_database_url)

    connection = psycopg2.connect(empty_database_url)
    with connection.cursor() as cursor:
        cursor.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = %s", [SCHEMA])
        assert {table for (table,) in cursor.fetchall()} == set(OTHER_PRODUCTS[product])
    connection.close()


def test_our_schema_is_not_taken_for_another_products(empty_database_url: str) -> None:
    database.upgrade(empty_database_url)

    assert database.check(empty_database_url).revision == database.newest_revision()


def test_db_check_says_whether_the_schema_fits(empty_database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", empty_database_url)
    for wait, ending in (([], ""), (["--wait", "0.1"], ". Nobody did within 0.1 s")):
        missing = CliRunner().invoke(app, ["db", "check", *wait])
        assert missing.exit_code == 1
        assert f"no schema {SCHEMA}: run verifywise-mlflow db upgrade{ending}" in " ".join(missing.output.split())

    database.upgrade(empty_database_url)

    fitting = CliRunner().invoke(app, ["db", "check", "--json"])
    assert fitting.exit_code == 0
    assert json.loads(fitting.stdout) == {
        "schema": SCHEMA,
        "revision": database.newest_revision(),
        "exposures": [],
        "protection_problems": [],
    }


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("verifywise_mlflow", None),
        ("governance2", None),
        ("_x", None),
        ("a" * 63, None),
        ("a" * 64, "lowercase identifier"),
        ("", "lowercase identifier"),
        ("Governance", "lowercase identifier"),
        ("2nd", "lowercase identifier"),
        ('x"; DROP SCHEMA public; --', "lowercase identifier"),
        ("public", "reserved"),
        ("information_schema", "reserved"),
        ("pg_catalog", "reserved"),
        ("pg_toast", "reserved"),
    ],
)
def test_the_schemas_name_is_a_plain_identifier_that_is_not_reserved(name: str, problem: str | None) -> None:
    found_problem = schema_name_problem(name)

    assert found_problem is None if problem is None else problem in str(found_problem)


def test_every_word_that_postgres_accepts_only_in_quotes_is_refused(empty_database_url: str) -> None:
    connection = psycopg2.connect(empty_database_url)
    with closing(connection), connection.cursor() as cursor:
        cursor.execute("SELECT word FROM pg_get_keywords() WHERE catcode IN ('R', 'T')")
        keywords = [word for (word,) in cursor.fetchall()]

    assert "select" in keywords
    assert [word for word in keywords if schema_name_problem(word) is None] == []


def run_cli(database_url: str, schema: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own, since the schema's name is read at import."""
    return subprocess.run(
        [sys.executable, "-m", "verifywise_mlflow.cli", *arguments],
        env={**os.environ, "VERIFYWISE_DATABASE_URL": database_url, "VERIFYWISE_SCHEMA": schema},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_setting_names_the_schema_of_everything(empty_database_url: str) -> None:
    upgraded = run_cli(empty_database_url, "governance", "db", "upgrade", "--json")
    checked = run_cli(empty_database_url, "governance", "db", "check", "--json")

    assert (upgraded.returncode, upgraded.stderr) == (0, "")
    document = json.loads(checked.stdout)
    assert (document["schema"], document["protection_problems"]) == ("governance", [])
    connection = psycopg2.connect(empty_database_url)
    with connection.cursor() as cursor:
        cursor.execute("SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'")
        assert sorted(name for (name,) in cursor.fetchall()) == ["governance", "public"]
        cursor.execute(
            "SELECT count(*) FROM pg_proc WHERE pronamespace = 'governance'::regnamespace "
            "AND pg_get_functiondef(oid) ~ 'verifywise_mlflow\\.(?!tenant|now|sync_id)'"
        )
        assert cursor.fetchone() == (0,)
    connection.close()


def test_a_refused_name_is_an_error_of_every_command_and_nothing_is_created(empty_database_url: str) -> None:
    result = run_cli(empty_database_url, "public", "db", "upgrade")

    assert result.returncode == 1
    assert "VERIFYWISE_SCHEMA is not the name of a schema for our tables: the name is reserved" in " ".join(
        result.stderr.split()
    )
