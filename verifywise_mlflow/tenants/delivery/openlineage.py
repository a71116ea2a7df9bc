"""The OpenLineage server that a tenant's lineage is posted to, as ``tenants.yaml`` describes it."""

from __future__ import annotations

from verifywise_mlflow.tenants.validators import ConfigSection


class OpenLineageSettings(ConfigSection):
    """An OpenLineage server."""
