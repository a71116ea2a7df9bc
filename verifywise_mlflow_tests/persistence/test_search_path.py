"""Our statements find their functions in Postgres' own catalog, even if any role may create functions in ``public``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from verifywise_mlflow.persistence import database, role_grants
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.persistence.table_statistics import analyze_grown_tables
from verifywise_mlflow.persistence.tables import model_versions
from verifywise_mlflow_tests.support.login_roles import LoginRole, execute, login_role, new_name
from verifywise_mlflow_tests.support.trail_entries import NOW

BETTER_MATCHES = {
    "pg_relation_size": "(oid) RETURNS bigint",
    "concat": "(regnamespace, text, name) RETURNS text",
}
"""Functions of a reader that Postgres would prefer to its own, since the types of their arguments match exactly."""


@pytest.fixture
def reader(database_url: str) -> Iterator[LoginRole]:
    """A reader that has created functions in ``public``. They fail with the name of the role that calls them."""
    with login_role(database_url, new_name("reader")) as role:
        with Store(database_url) as store, store.begin_shared() as connection:
            role_grants.grant(connection, role.name, "reader", "acme", NOW)
        execute(database_url, f"GRANT CREATE ON SCHEMA public TO {role.name}")
        body = "$$ BEGIN RAISE EXCEPTION 'called by %', current_user; END $$"
        for name, signature in BETTER_MATCHES.items():
            execute(role.url, f"CREATE FUNCTION public.{name} {signature} LANGUAGE plpgsql AS {body}")
        yield role


@pytest.mark.usefixtures("reader")
def test_neither_a_pipeline_nor_the_owner_calls_a_readers_functions(database_url: str) -> None:
    with login_role(database_url, new_name("pipeline")) as pipeline:
        with Store(database_url) as store, store.begin_shared() as connection:
            role_grants.grant(connection, pipeline.name, "pipeline", None, NOW)
        for url in (database_url, pipeline.url):
            with Store(url) as store, store.begin("acme") as session:
                assert analyze_grown_tables(session, [model_versions]) == []
        assert database.check(database_url).protection_problems == []


@pytest.mark.usefixtures("reader")
def test_with_public_in_the_path_the_same_statement_would_call_one(database_url: str) -> None:
    with Store(database_url) as store, store.begin("acme") as session:
        session.execute(text("SET LOCAL search_path = public"))
        with pytest.raises(DBAPIError, match="called by"), session.connection.begin_nested():
            analyze_grown_tables(session, [model_versions])
