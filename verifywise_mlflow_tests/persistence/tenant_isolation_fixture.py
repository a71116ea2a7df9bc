"""A database with rows of two tenants, and the roles that may log in to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

import psycopg2

from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres
from verifywise_mlflow.persistence import role_grants
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow_tests.persistence.row_factories import PgConnection, fill, relations
from verifywise_mlflow_tests.support.databases import migrated_database
from verifywise_mlflow_tests.support.login_roles import LoginRole, execute, login_role, new_name
from verifywise_mlflow_tests.support.trail_entries import NOW

OWN_TENANT, OTHER_TENANT = "acme", "globex"


@dataclass(frozen=True, slots=True)
class IsolatedTenants:
    """A database with rows of two tenants in every table, and its roles."""

    owner: str
    pipeline: LoginRole
    reader: LoginRole
    """Reads the tenant acme. It owns the schema ``den``, in which it may create anything."""
    listener: LoginRole
    """Writes hints of one tenant at a time."""
    ungranted: LoginRole
    """Has every privilege on the tables in Postgres, but no access by ``db grant``."""


@contextmanager
def isolated_tenants(postgres: EmbeddedPostgres) -> Iterator[IsolatedTenants]:
    """Fill the database and grant the roles access."""
    with ExitStack() as stack:
        owner = stack.enter_context(migrated_database(postgres))
        with closing(psycopg2.connect(owner)) as connection:
            for tenant in (OWN_TENANT, OTHER_TENANT):
                fill(connection, tenant)
            connection.commit()
        pipeline, reader, listener, stranger = (
            stack.enter_context(login_role(owner, new_name(kind)))
            for kind in ("pipeline", "reader", "listener", "stranger")
        )
        with Store(owner) as store, store.begin_shared() as shared:
            role_grants.grant(shared, pipeline.name, "pipeline", None, NOW)
            role_grants.grant(shared, reader.name, "reader", OWN_TENANT, NOW)
            role_grants.grant(shared, listener.name, "listener", None, NOW)
        execute(
            owner,
            f"CREATE SCHEMA den AUTHORIZATION {reader.name}",
            f"GRANT USAGE ON SCHEMA verifywise_mlflow TO {stranger.name}",
            f"GRANT ALL ON ALL TABLES IN SCHEMA verifywise_mlflow TO {stranger.name}",
            f"GRANT ALL ON ALL FUNCTIONS IN SCHEMA verifywise_mlflow TO {stranger.name}",
            "ANALYZE",
        )
        yield IsolatedTenants(owner, pipeline, reader, listener, stranger)


@contextmanager
def logged_in(url: str, tenant: str | None = None) -> Iterator[PgConnection]:
    """A transaction that is rolled back, with its tenant set as ``Store.begin`` sets it."""
    with closing(psycopg2.connect(url)) as connection:
        if tenant:
            query(connection, f"SELECT set_config('verifywise_mlflow.tenant', '{tenant}', true)")
        yield connection


def query(connection: PgConnection, statement: str) -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


def visible_rows(connection: PgConnection, names: Iterable[str] | None = None) -> dict[str, dict[str, int]]:
    """Return how many rows of each tenant each table and view returns."""
    return {
        relation: dict(
            query(connection, f"SELECT tenant_id, count(*) FROM verifywise_mlflow.{relation} GROUP BY 1")  # type: ignore[arg-type]
        )
        for relation in names or tenant_relations(connection)
    }


def tenant_relations(connection: PgConnection) -> list[str]:
    """Return the tables and views with data of tenants, which are all except the tables of roles and locks."""
    return [relation for relation in relations(connection, "r", "v") if relation not in {"role_grants", "tenant_locks"}]


def count_rows(connection: PgConnection, relation: str, tenant: str) -> int:
    ((count,),) = query(connection, f"SELECT count(*) FROM verifywise_mlflow.{relation} WHERE tenant_id = '{tenant}'")
    assert isinstance(count, int)
    return count
