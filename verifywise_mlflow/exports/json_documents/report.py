"""What ``report --json`` prints."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from verifywise_mlflow.exports.json_documents.document import JsonDocument


class ReportDocument(JsonDocument):
    """The content of the report, and its location."""

    NAME: ClassVar[str] = "report"

    at: datetime
    """The time of the report, UTC: ages and waivers depend on it."""
    directory: str
    """The folder of the report."""
    start_page: str
    """The page to open first."""
    tenants: tuple[str, ...]
    """The tenants that the report is about."""
    only_systems: tuple[str, ...]
    """The AI systems that the report is about; empty for all models."""
    models: int
    """The number of registered models. Each model has a page."""
    versions: int
    """The number of model versions. Each version has a page."""
    pages: int
    """The number of all pages."""
