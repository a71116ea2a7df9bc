"""What several commands are told: a tenant, a model, a version."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from verifywise_mlflow.tenants.loading import TenantsFileError, load_tenants
from verifywise_mlflow.tenants.tenant import Tenant

TenantName = Annotated[str, typer.Argument(metavar="TENANT", help="Its name in tenants.yaml.")]
StoredTenantName = Annotated[
    str, typer.Argument(metavar="TENANT", help="Its name in the database, where it stays when tenants.yaml drops it.")
]
ModelName = Annotated[str, typer.Argument(metavar="MODEL", help="The registered model's name.")]
Limit = Annotated[int, typer.Option(help="The newest so many.", min=1, max=1_000_000)]
VersionNumber = Annotated[int, typer.Argument(metavar="VERSION", help="The version's number.", min=1)]


def moment(written: str) -> datetime:
    """Return a time as people write it: ISO 8601, a day or a day with its hour; UTC where no zone is named."""
    try:
        time = datetime.fromisoformat(written)
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise typer.BadParameter(f"{written!r} is no time: write 2026-03-03 or 2026-03-03T14:30+01:00") from None


def described_tenant(name: str) -> Tenant:
    """Return the tenant that tenants.yaml describes under the name.

    Raises:
        TenantsFileError: it describes none.
    """
    described = load_tenants()
    if name not in described:
        known = ", ".join(described) or "none at all"
        raise TenantsFileError(f"there is no tenant {name!r} in tenants.yaml; there are: {known}")
    return described[name]
