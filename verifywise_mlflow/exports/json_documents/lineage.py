"""What ``lineage --json`` prints."""

from __future__ import annotations

from typing import ClassVar

from verifywise_mlflow.exports.json_documents.document import JsonDocument
from verifywise_mlflow.services.lineage_graph import LineageGraph


class LineageDocument(JsonDocument):
    """The lineage of the living versions of a tenant or of one model."""

    NAME: ClassVar[str] = "lineage"

    tenant: str
    """The tenant's name in tenants.yaml."""
    model_name: str | None
    """The requested model; null for all models."""
    graph: LineageGraph
    """Data sets, training runs, versions and files, and which of them was made from which."""
