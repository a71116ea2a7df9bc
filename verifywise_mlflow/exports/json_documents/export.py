"""What ``export --json`` prints."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar, Literal

from verifywise_mlflow.exports.json_documents.document import JsonDocument


class ExportDocument(JsonDocument):
    """What an export added to its directory."""

    NAME: ClassVar[str] = "export"

    at: datetime
    """When the export began, UTC."""
    tenant: str
    """The tenant's name in tenants.yaml."""
    directory: str
    """The directory."""
    format: Literal["parquet", "jsonl"]
    """The format of the files."""
    export_number: int
    """The number of the export, which is also in its rows and part files. The first export has the number 1."""
    reason_for_all: str | None
    """Why everything was exported; null if only changes since the last export were exported."""
    rows: Mapping[str, int]
    """The number of written rows by table. The table of gaps is missing if it is the same as in the last export."""
