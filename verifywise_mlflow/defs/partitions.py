"""One partition per tenant. The sensor ``tenants`` keeps the keys in line with tenants.yaml."""

import dagster as dg

from verifywise_mlflow.tenants.errors import TenantsFileError
from verifywise_mlflow.tenants.loading import load_tenants
from verifywise_mlflow.tenants.tenant import Tenant

tenant_partitions = dg.DynamicPartitionsDefinition(name="tenants")


def partition_keys(instance: dg.DagsterInstance) -> set[str]:
    """Return the tenants that have a partition."""
    return set(instance.get_dynamic_partitions(tenant_partitions.name or ""))


def tenant_of_partition(key: str) -> Tenant:
    """Return the tenant of a partition.

    Raises:
        TenantsFileError: tenants.yaml cannot be used, or no longer has the tenant.
    """
    tenants = load_tenants()
    if key not in tenants:
        raise TenantsFileError(f"tenant {key} is not in tenants.yaml. Add it to the file to run this again")
    return tenants[key]
