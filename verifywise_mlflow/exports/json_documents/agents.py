"""What ``agents --json`` prints."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from verifywise_mlflow.exports.json_documents.document import JsonDocument
from verifywise_mlflow.services.agents import AgentRow, AgentStateRow


class AgentsDocument(JsonDocument):
    """The agents of a tenant's server."""

    NAME: ClassVar[str] = "agents"

    at: datetime
    """When the agents were read from the database, UTC."""
    tenant: str
    """The tenant's name in tenants.yaml."""
    agent_name: str | None = None
    """The requested name or ID; null for all agents."""
    history: tuple[AgentStateRow, ...] = ()
    """The present and former states of these agents, the newest first; empty for all agents."""
    agents: tuple[AgentRow, ...] = ()
    """The agents, by name, the newest first."""
