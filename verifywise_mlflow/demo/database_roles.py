"""The database roles of the demo's services. Each has the least rights that it needs, as in production."""

from __future__ import annotations

from datetime import UTC, datetime

from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres, Login
from verifywise_mlflow.persistence import database, role_grants
from verifywise_mlflow.persistence.store import Store

PIPELINE_ROLE = "verifywise_pipeline"
"""The database role of the demo's Dagster."""

LISTENER_ROLE = "verifywise_listener"
"""The database role of the demo's webhook listener, which writes hints and reads no record."""


def grant_pipeline_role(postgres: EmbeddedPostgres) -> Login:
    """Upgrade the schema as its owner; return the login of Dagster's role.

    The role may sync and owns Dagster's database. Row-level security applies to it, as in production.
    """
    login = postgres.create_login(PIPELINE_ROLE, owns="dagster")
    database.upgrade(postgres.url("verifywise_mlflow"))
    _grant(postgres, login, "pipeline")
    return login


def grant_listener_role(postgres: EmbeddedPostgres) -> Login:
    """Return the login of the listener's role. The schema must be upgraded."""
    login = postgres.create_login(LISTENER_ROLE)
    _grant(postgres, login, "listener")
    return login


def _grant(postgres: EmbeddedPostgres, login: Login, kind: role_grants.RoleKind) -> None:
    with Store(postgres.url("verifywise_mlflow")) as store, store.begin_shared() as connection:
        role_grants.grant(connection, login.role, kind, None, datetime.now(UTC))
