"""What ``report --json`` prints."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from verifywise_mlflow.exports.json_documents.document import JsonDocument


class ReportDocument(JsonDocument):
    """What the report shows, and where it is."""

    NAME: ClassVar[str] = "report"

    at: datetime
    """The time of the report, UTC: ages and waivers depend on it."""
    directory: str
    """The folder of the report."""
    start_page: str
    """The page to open first."""
    tenants: tuple[str, ...]
    """The tenants that it is about."""
    only_systems: tuple[str, ...]
    """The AI systems that it is about; empty for all models."""
    models: int
    """Registered models, each with a page."""
    versions: int
    """Model versions, each with a page."""
    pages: int
    """All pages."""
