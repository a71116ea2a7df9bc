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
    """When it began, UTC."""
    tenant: str
    """The tenant's name in tenants.yaml."""
    directory: str
    """The directory."""
    format: Literal["parquet", "jsonl"]
    """The format of the files."""
    export_number: int
    """The number of the export, which its rows and its part files have. The first one is 1."""
    reason_for_all: str | None
    """Why everything was exported; null if only what changed since the last export was."""
    rows: Mapping[str, int]
    """The rows that were written, by table; without gaps if they are the same as in the last export."""
