"""What ``prompts --json`` prints."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from verifywise_mlflow.exports.json_documents.document import JsonDocument
from verifywise_mlflow.services.prompts import PromptRow, PromptStateRow


class PromptsDocument(JsonDocument):
    """The prompts of a tenant's registry, without their texts."""

    NAME: ClassVar[str] = "prompts"

    at: datetime
    """When the prompts were read from the database, UTC."""
    tenant: str
    """The tenant's name in tenants.yaml."""
    prompt_name: str | None = None
    """The requested prompt; null for all prompts."""
    history: tuple[PromptStateRow, ...] = ()
    """The present and former states of the requested prompt's versions, the newest first; empty if all prompts are
    listed."""
    prompts: tuple[PromptRow, ...] = ()
    """The versions of the prompts, by prompt, the newest first."""
