"""What ``lineage --json`` prints."""

from __future__ import annotations

from typing import ClassVar

from verifywise_mlflow.exports.json_documents.document import JsonDocument
from verifywise_mlflow.services.lineage_graph import LineageGraph


class LineageDocument(JsonDocument):
    """What the living versions of a tenant, or of one model, were made from."""

    NAME: ClassVar[str] = "lineage"

    tenant: str
    """The tenant's name in tenants.yaml."""
    model_name: str | None
    """The model that was asked about; null for all of them."""
    graph: LineageGraph
    """Data sets, training runs, versions and files, and what was made from what."""
