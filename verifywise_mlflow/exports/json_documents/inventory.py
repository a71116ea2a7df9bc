"""What ``inventory --json`` prints."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from verifywise_mlflow.exports.json_documents.document import JsonDocument
from verifywise_mlflow.services.inventory import InventoryRow


class InventoryDocument(JsonDocument):
    """The model versions of one or several tenants."""

    NAME: ClassVar[str] = "inventory"

    at: datetime
    """When the inventory was read from the database, UTC."""
    tenants: tuple[str, ...]
    """The tenants that the command was about: the named tenants, or all tenants that the database role may see."""
    versions: tuple[InventoryRow, ...] = ()
    """The versions that match the filters, by tenant and model, the newest first."""
