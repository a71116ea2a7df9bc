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
    """When it was read, UTC."""
    tenant: str
    """The tenant's name in tenants.yaml."""
    prompt_name: str | None = None
    """The prompt that was asked about; null for all."""
    history: tuple[PromptStateRow, ...] = ()
    """The present and former states of this prompt's versions, the newest first; empty for all prompts."""
    prompts: tuple[PromptRow, ...] = ()
    """The versions, by prompt, the newest first."""
