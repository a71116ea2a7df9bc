"""Exits of commands that use tenants.yaml, a server or the database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from verifywise_mlflow.cli.command_table import FAILED, INTERRUPTED, MISUSED
from verifywise_mlflow.cli.output import fail
from verifywise_mlflow.http.errors import HttpError
from verifywise_mlflow.persistence.database import DatabaseError
from verifywise_mlflow.persistence.role_grants import is_known_tenant
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.services.rule_worker_client import RuleWorkerUnavailableError
from verifywise_mlflow.tenants.errors import SecretUnavailableError, TenantsFileError


@contextmanager
def exit_on_errors(as_json: bool) -> Iterator[None]:
    """Exit with a sentence and an exit code if tenants.yaml, a secret, a server or the database cannot be used."""
    try:
        yield
    except (TenantsFileError, SecretUnavailableError) as error:
        fail(str(error), MISUSED, as_json)
    except (HttpError, DatabaseError, RuleWorkerUnavailableError) as error:
        fail(str(error), FAILED, as_json)
    except KeyboardInterrupt:
        fail("interrupted", INTERRUPTED, as_json)


def require_known_tenant(session: TenantSession, as_json: bool) -> None:
    """Exit unless the database knows the tenant: the name is misspelt, or the role may not see it."""
    if not is_known_tenant(session.connection, session.tenant_id):
        fail(f"the database has no tenant {session.tenant_id!r}, or the role in use may not read it", FAILED, as_json)
