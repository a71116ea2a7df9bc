"""The common part of the commands ``verifywise-mlflow audit``: the argument for the tenant, and a transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from verifywise_mlflow.cli.command_catalog import FAILED
from verifywise_mlflow.cli.output import fail
from verifywise_mlflow.common.untrusted_text import quote
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.repositories import audit_log
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.version_references import require_known_tenant

# The tenant need not be in tenants.yaml: a trail outlives its tenant.
TrailOf = Annotated[
    str,
    typer.Argument(metavar="TENANT", help="The tenant whose trail is meant; it need not be in tenants.yaml any more."),
]


@contextmanager
def open_trail(tenant: str) -> Iterator[TenantSession]:
    """Yield a transaction of the tenant."""
    with Store(database_url()) as store, store.begin(tenant) as session:
        yield session


def refuse_unknown(session: TenantSession, as_json: bool) -> None:
    """Exit if the tenant never had a trail: then the tenant's name is misspelled, or no sync has run.

    An empty trail that should have entries does not end the command here.
    """
    if not audit_log.head(session) and not audit_log.is_expected(session):
        require_known_tenant(session)
        fail(f"the tenant {quote(session.tenant_id)} has no trail yet: sync it first", FAILED, as_json)
