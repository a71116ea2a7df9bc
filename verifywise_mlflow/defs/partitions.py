"""One partition a tenant. The ``tenants`` sensor keeps the keys in step with tenants.yaml."""

import dagster as dg

tenant_partitions = dg.DynamicPartitionsDefinition(name="tenants")

MLFLOW_SERVER = dg.AssetKey("mlflow_server")
"""The tenants' MLflow servers, where the data comes from; the sensors tell there when one falls silent."""


def partition_keys(instance: dg.DagsterInstance) -> set[str]:
    """Return the tenants that are partitions already."""
    return set(instance.get_dynamic_partitions(tenant_partitions.name or ""))
