"""The database role that the demo's Dagster uses."""

from __future__ import annotations

from contextlib import closing

import psycopg2

from verifywise_mlflow.demo.database_roles import grant_pipeline_role
from verifywise_mlflow.demo.servers.postgres import temporary_postgres
from verifywise_mlflow.persistence import role_grants
from verifywise_mlflow.persistence.store import Store


def test_row_level_security_applies_to_the_demos_role_also_after_resuming() -> None:
    with temporary_postgres(databases=("verifywise_mlflow", "dagster")) as postgres:
        first, login = grant_pipeline_role(postgres), grant_pipeline_role(postgres)

        with Store(postgres.url("verifywise_mlflow", login)) as store, store.begin("acme-bank") as session:
            assert role_grants.rls_bypass_reason(session.connection) is None
            assert [role.kind for role in role_grants.roles(session.connection) if role.role == login.role] == [
                "pipeline"
            ]
        with closing(psycopg2.connect(postgres.url("dagster", login))) as connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE runs (id int)")
    assert first.password != login.password
    assert login.password not in repr(login)
