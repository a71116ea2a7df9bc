"""What ``inventory --json`` prints."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from verifywise_mlflow.exports.json_documents.document import JsonDocument
from verifywise_mlflow.services.inventory import InventoryRow


class InventoryDocument(JsonDocument):
    """The model versions of one tenant or several."""

    NAME: ClassVar[str] = "inventory"

    at: datetime
    """When it was read, UTC."""
    tenants: tuple[str, ...]
    """The tenants that were asked about: those that the database role may see, unless some were named."""
    versions: tuple[InventoryRow, ...] = ()
    """The versions that match, by tenant and model, the newest first."""
