"""The agents of a server: logged models of the type agent, their prompts, and the versions registered from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import ClassVar

from pydantic import ConfigDict

from verifywise_mlflow.common.described_fields import DESCRIBED
from verifywise_mlflow.common.unresolved_names import unknown_name
from verifywise_mlflow.common.untrusted_text import quote
from verifywise_mlflow.common.value_object import value_object
from verifywise_mlflow.persistence.queries.agents import (
    StoredAgent,
    agent_names,
    agent_states,
    stored_agents,
    versions_of_agents,
)
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.session import TenantSession


@value_object
class AgentRow:
    """An agent: a logged model of the type agent."""

    __pydantic_config__: ClassVar[ConfigDict] = DESCRIBED

    tenant: str
    """The tenant's name in tenants.yaml."""
    agent_name: str | None
    """The name of the logged model. MLflow creates another logged model of this name each time that the agent is
    logged."""
    model_id: str
    """The ID of the logged model."""
    status: str | None
    """READY, PENDING or FAILED."""
    experiment: str | None
    """The name of the experiment, or its ID if the name is not known."""
    source_run_id: str | None
    """The run that logged the agent; null for an agent whose code is elsewhere."""
    prompts: tuple[str, ...]
    """The prompts that MLflow has linked to the agent, each with its version. A prompt that is not found has its state,
    too."""
    registered_as: tuple[str, ...]
    """The versions of models that were registered from the agent; empty if it was never registered."""
    parameters: tuple[str, ...]
    """The agent's parameters, each with its value."""
    metrics: tuple[str, ...]
    """The agent's metrics, each with its last value."""
    tags: tuple[str, ...]
    """The agent's tags, each with its value."""
    created_at: datetime | None
    """When MLflow created the logged model, UTC."""
    last_changed_at: datetime
    """When a sync last saw a change of the agent, UTC."""
    deleted_at: datetime | None
    """Since when MLflow no longer has the agent, UTC; null while it exists."""


@value_object
class AgentStateRow:
    """A state of an agent."""

    __pydantic_config__: ClassVar[ConfigDict] = DESCRIBED

    model_id: str
    """The ID of the logged model."""
    status: str | None
    """The status in this state."""
    prompts: tuple[str, ...]
    """The prompts that were linked to the agent in this state."""
    tags: tuple[str, ...]
    """The agent's tags in this state, each with its value."""
    valid_from: datetime
    """When a sync first saw this state, UTC."""
    valid_to: datetime | None
    """When a sync first saw the next state, UTC; null for the present state."""


def agent_rows(
    session: TenantSession, name: str | None = None, *, includes_deleted: bool = False
) -> Iterator[AgentRow]:
    """Yield a tenant's agents, sorted by name, the newest first.

    Args:
        session: The tenant's transaction.
        name: The name or ID of the agents to yield; None for all agents.
        includes_deleted: Whether to yield agents that MLflow no longer has, too.
    """
    registered = versions_of_agents(session)
    for agent in stored_agents(session, name, includes_deleted=includes_deleted):
        yield _row(session.tenant_id, agent, registered.get(agent.model_id, ()))


def agent_history(session: TenantSession, name: str) -> list[AgentStateRow]:
    """Return the current and former states of the agents with a name or ID, the newest first."""
    return [
        AgentStateRow(
            state.model_id,
            state.status,
            _prompts(state.linked_prompts),
            _pairs(state.tags),
            state.valid_from,
            state.valid_to,
        )
        for state in agent_states(session, name)
    ]


def require_known_agent(session: TenantSession, name: str) -> None:
    """Raise an error if the tenant never had such an agent.

    Raises:
        UnresolvedNameError: the tenant never had such an agent.
    """
    names = agent_names(session)
    if name not in names:
        tenant = quote(session.tenant_id)
        raise unknown_name(f"the tenant {tenant} has no agent with the name or ID {quote(name)}", name, names)


def _row(tenant_id: str, agent: StoredAgent, registered: Sequence[Key]) -> AgentRow:
    return AgentRow(
        tenant=tenant_id,
        agent_name=agent.name,
        model_id=agent.model_id,
        status=agent.status,
        experiment=agent.experiment_name or agent.experiment_id,
        source_run_id=agent.source_run_id,
        prompts=_prompts(agent.linked_prompts),
        registered_as=tuple(f"{name} {number}" for name, number in registered),
        parameters=_pairs(agent.params),
        metrics=_pairs(agent.metrics),
        tags=_pairs(agent.tags),
        created_at=agent.created_at,
        last_changed_at=agent.changed_at,
        deleted_at=agent.deleted_at,
    )


def _prompts(links: Sequence[Mapping[str, object]] | None) -> tuple[str, ...]:
    return tuple(map(_prompt, links or ()))


def _prompt(link: Mapping[str, object]) -> str:
    number = "" if link.get("version") is None else f" {link['version']}"
    state = "" if link.get("state") == "found" else f" ({link.get('state')})"
    return f"{link.get('name')}{number}{state}"


def _pairs(pairs: Mapping[str, object]) -> tuple[str, ...]:
    return tuple(f"{key}={value}" for key, value in sorted(pairs.items()))
