"""Arguments that several commands share: a tenant, a model, a version, a time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from verifywise_mlflow.tenants.errors import TenantsFileError

if TYPE_CHECKING:
    from verifywise_mlflow.tenants.tenant import Tenant

TenantName = Annotated[str, typer.Argument(metavar="TENANT", help="The tenant's name in tenants.yaml.")]
StoredTenantName = Annotated[
    str,
    typer.Argument(
        metavar="TENANT", help="The tenant's name in the database; it need not be in tenants.yaml any more."
    ),
]
ModelName = Annotated[str, typer.Argument(metavar="MODEL", help="The registered model's name.")]
Limit = Annotated[int, typer.Option(help="Maximum number of entries, newest first.", min=1, max=1_000_000)]
VersionNumber = Annotated[int, typer.Argument(metavar="VERSION", help="The version's number.", min=1)]


def parse_time(text: str) -> datetime:
    """Parse ISO 8601: a date, or a date and time. UTC unless the text names a zone."""
    try:
        time = datetime.fromisoformat(text)
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise typer.BadParameter(f"{text!r} is not a time: write 2026-03-03 or 2026-03-03T14:30+01:00") from None


def configured_tenant(name: str) -> Tenant:
    """Return the tenant of that name in tenants.yaml.

    Raises:
        TenantsFileError: tenants.yaml has no such tenant.
    """
    from verifywise_mlflow.tenants.loading import load_tenants  # takes a third of a second; most commands read no file

    tenants = load_tenants()
    if name not in tenants:
        tenant_names = ", ".join(tenants) or "none"
        raise TenantsFileError(f"tenants.yaml has no tenant {name!r}; its tenants are: {tenant_names}")
    return tenants[name]
