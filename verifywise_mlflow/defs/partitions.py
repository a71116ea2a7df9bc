"""One partition a tenant. The ``tenants`` sensor keeps the keys in step with tenants.yaml."""

import dagster as dg

tenant_partitions = dg.DynamicPartitionsDefinition(name="tenants")


def partition_keys(instance: dg.DagsterInstance) -> set[str]:
    """Return the tenants that are partitions already."""
    return set(instance.get_dynamic_partitions(tenant_partitions.name or ""))
