from __future__ import annotations

from collections.abc import Iterator

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, inspect, text

from verifywise_mlflow.persistence.database import (
    VARIABLE,
    DatabaseError,
    connect,
    current_revision,
    database_url,
    ensure_schema,
    upgrade,
)
from verifywise_mlflow.persistence.tables import SCHEMA, metadata


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = connect(database_url)
    yield engine
    engine.dispose()


def set_revision(engine: Engine, revision: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE {SCHEMA}.alembic_version SET version_num = :revision"), {"revision": revision})


def test_the_migrations_make_the_tables_that_the_code_describes(database_url: str, engine: Engine) -> None:
    upgrade(database_url)

    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "include_schemas": True,
                "version_table_schema": SCHEMA,
                "compare_type": True,
                "compare_server_default": False,  # Postgres writes nextval() in other words than SQLAlchemy
                "include_name": lambda name, kind, _: kind != "schema" or name == SCHEMA,
            },
        )
        differences = compare_metadata(context, metadata)

    assert differences == []


def test_a_first_start_makes_the_schema_and_a_second_leaves_it(engine: Engine) -> None:
    ensure_schema(engine)
    with engine.begin() as connection:
        connection.execute(text(f"CREATE TABLE {SCHEMA}.kept (id int)"))
    ensure_schema(engine)

    with engine.connect() as connection:
        assert current_revision(connection) is not None
        assert "kept" in inspect(connection).get_table_names(SCHEMA)
        assert inspect(connection).get_table_names("public") == []


def test_upgrading_twice_changes_nothing(database_url: str, engine: Engine) -> None:
    assert upgrade(database_url) == upgrade(database_url)

    ensure_schema(engine)


def test_a_schema_that_was_never_migrated_is_refused_with_the_mend(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {SCHEMA}"))
        connection.execute(text(f"CREATE TABLE {SCHEMA}.somebodys (id int)"))

    with pytest.raises(DatabaseError, match="verifywise-mlflow db upgrade"):
        ensure_schema(engine)


def test_a_schema_that_is_older_is_refused_and_brought_up_by_upgrade(database_url: str, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {SCHEMA}"))
        connection.execute(text(f"CREATE TABLE {SCHEMA}.somebodys (id int)"))
    with pytest.raises(DatabaseError):
        ensure_schema(engine)

    upgrade(database_url)

    ensure_schema(engine)


def test_a_schema_that_is_newer_is_refused_and_left_as_it_is(engine: Engine) -> None:
    ensure_schema(engine)
    set_revision(engine, "9999")

    with pytest.raises(DatabaseError, match="revision 9999, which this code does not know"):
        ensure_schema(engine)

    with engine.connect() as connection:
        assert current_revision(connection) == "9999"


def test_upgrading_a_newer_schema_is_refused_in_our_words(database_url: str, engine: Engine) -> None:
    ensure_schema(engine)
    set_revision(engine, "9999")

    with pytest.raises(DatabaseError, match="9999"):
        upgrade(database_url)


@pytest.mark.parametrize(
    "url", ["", "nonsense", "sqlite:///a.db", "mysql://u:hunter2@h/d", "postgresql://u:hunter2@h:x/d"]
)
def test_a_url_that_is_none_of_postgres_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(DatabaseError) as caught:
        connect(url)

    assert "hunter2" not in f"{caught.value} {caught.value!r}"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_each_way_to_write_postgres_is_understood(scheme: str) -> None:
    assert connect(f"{scheme}://u@h/d").url.drivername == "postgresql+psycopg2"


def test_a_database_that_cannot_be_reached_is_told_without_its_password() -> None:
    with pytest.raises(DatabaseError, match="cannot be reached") as caught:
        upgrade("postgresql://u:hunter2@127.0.0.1:1/d")

    assert "hunter2" not in str(caught.value)


def test_a_password_that_is_refused_is_not_told(database_url: str) -> None:
    wrong = connect(database_url).url.set(password="hunter2").render_as_string(hide_password=False)

    with pytest.raises(DatabaseError, match="authentication failed") as caught:
        upgrade(wrong)

    assert "hunter2" not in str(caught.value)


def test_without_the_variable_the_error_says_which_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)

    with pytest.raises(DatabaseError, match=VARIABLE):
        database_url()
