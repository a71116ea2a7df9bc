"""A database with rows of two tenants, and the roles that log in to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

import psycopg2

from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres
from verifywise_mlflow.persistence import database, role_grants
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow_tests.databases import migrated_database
from verifywise_mlflow_tests.persistence.login_roles import LoginRole, execute, login_role, new_name
from verifywise_mlflow_tests.persistence.row_factories import PgConnection, fill, relations
from verifywise_mlflow_tests.persistence.trail_entries import NOW

OURS, THEIRS = "acme", "globex"


@dataclass(frozen=True, slots=True)
class House:
    """A database with rows of two tenants in every table, and who logs in to it."""

    owner: str
    pipeline: LoginRole
    reader: LoginRole
    """Of the tenant acme. It has a schema of its own, where it may create what it likes."""
    stranger: LoginRole
    """Has every privilege on the tables, but no access."""


@contextmanager
def open_house(postgres: EmbeddedPostgres) -> Iterator[House]:
    """Build it, and let the roles in."""
    with ExitStack() as stack:
        owner = stack.enter_context(migrated_database(postgres))
        database.upgrade(owner)
        with closing(psycopg2.connect(owner)) as connection:
            for tenant in (OURS, THEIRS):
                fill(connection, tenant)
            connection.commit()
        pipeline, reader, stranger = (
            stack.enter_context(login_role(owner, new_name(kind))) for kind in ("pipeline", "reader", "stranger")
        )
        with Store(owner) as store, store.begin_shared() as begun:
            role_grants.grant(begun, pipeline.name, "pipeline", None, NOW)
            role_grants.grant(begun, reader.name, "reader", OURS, NOW)
        execute(
            owner,
            f"CREATE SCHEMA den AUTHORIZATION {reader.name}",
            f"GRANT USAGE ON SCHEMA verifywise_mlflow TO {stranger.name}",
            f"GRANT ALL ON ALL TABLES IN SCHEMA verifywise_mlflow TO {stranger.name}",
            f"GRANT ALL ON ALL FUNCTIONS IN SCHEMA verifywise_mlflow TO {stranger.name}",
            "ANALYZE",
        )
        yield House(owner, pipeline, reader, stranger)


@contextmanager
def logged_in(url: str, tenant: str | None = None) -> Iterator[PgConnection]:
    """A transaction that is undone, set to a tenant as ``Store.begin`` sets it."""
    with closing(psycopg2.connect(url)) as connection:
        if tenant:
            ask(connection, f"SELECT set_config('verifywise_mlflow.tenant', '{tenant}', true)")
        yield connection


def ask(connection: PgConnection, statement: str) -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


def tenants_seen(connection: PgConnection, shown: Iterable[str] | None = None) -> dict[str, dict[str, int]]:
    """Return how many rows of which tenants each table and view shows."""
    return {
        relation: dict(
            ask(connection, f"SELECT tenant_id, count(*) FROM verifywise_mlflow.{relation} GROUP BY 1")  # type: ignore[arg-type]
        )
        for relation in shown or of_tenants(connection)
    }


def of_tenants(connection: PgConnection) -> list[str]:
    """Return the tables and views that show rows of tenants; ``access`` shows roles."""
    return [relation for relation in relations(connection, "r", "v") if relation != "role_grants"]


def rows_of(connection: PgConnection, relation: str, tenant: str) -> int:
    ((count,),) = ask(connection, f"SELECT count(*) FROM verifywise_mlflow.{relation} WHERE tenant_id = '{tenant}'")
    assert isinstance(count, int)
    return count
