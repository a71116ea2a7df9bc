"""One partition per tenant. The sensor ``tenants`` keeps the keys in line with tenants.yaml."""

import dagster as dg

tenant_partitions = dg.DynamicPartitionsDefinition(name="tenants")


def partition_keys(instance: dg.DagsterInstance) -> set[str]:
    """Return the tenants that have a partition."""
    return set(instance.get_dynamic_partitions(tenant_partitions.name or ""))
