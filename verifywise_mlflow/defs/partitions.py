"""One partition a tenant. The ``tenants`` sensor keeps the keys in step with tenants.yaml."""

import dagster as dg

tenant_partitions = dg.DynamicPartitionsDefinition(name="tenants")
