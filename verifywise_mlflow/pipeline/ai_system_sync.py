"""Reads what a tenant declares about its AI systems, in each sync, and records each change with an audit entry."""

from __future__ import annotations

from verifywise_mlflow.compliance.ai_systems import AiSystemsError, DeclaredSystem, load_ai_systems
from verifywise_mlflow.pipeline.context import StageContext
from verifywise_mlflow.pipeline.stage_configurations import record_declared_systems
from verifywise_mlflow.tenants.errors import TenantsFileError
from verifywise_mlflow.tenants.loading import shared_ai_systems_path
from verifywise_mlflow.tenants.tenant import Tenant


class InvalidAiSystemsFileError(TenantsFileError):
    """The file of AI systems cannot be used. The message has one line per error."""


def load_tenant_ai_systems(tenant: Tenant) -> tuple[DeclaredSystem, ...]:
    """Return the declarations of the tenant's own file, or else of the file next to ``tenants.yaml`` if it exists.

    Raises:
        InvalidAiSystemsFileError: the file is invalid, or the file that the tenant names does not exist.
    """
    own_path, shared_path = tenant.compliance.ai_systems, shared_ai_systems_path()
    try:
        if own_path is not None:
            return load_ai_systems(own_path, tenant.tenant_id, is_own=True)
        return load_ai_systems(shared_path, tenant.tenant_id, is_own=False) if shared_path else ()
    except AiSystemsError as error:
        raise InvalidAiSystemsFileError(str(error)) from error


def sync_ai_systems(context: StageContext) -> list[str]:
    """Record the declarations of the file; return a warning for people if the file cannot be used.

    Then the former declarations stay in force, and the evaluation continues: no verdict rests on a declaration.
    """
    try:
        record_declared_systems(context, load_tenant_ai_systems(context.tenant))
    except InvalidAiSystemsFileError as error:
        first, *others = str(error).splitlines()
        more = f" ({len(others)} more errors: verifywise-mlflow tenants prints them)" if others else ""
        return [f"the declared AI systems were not updated: {first}{more}"]
    return []
