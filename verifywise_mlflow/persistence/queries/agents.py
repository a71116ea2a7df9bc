"""Agents, and the versions of models that were registered from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, Table, and_, or_, select

from verifywise_mlflow.persistence.queries.version_filter import ROWS_PER_FETCH
from verifywise_mlflow.persistence.repositories.asset_states import present_and_former
from verifywise_mlflow.persistence.row_mapping import Key, same_version
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.state_tables import AGENTS
from verifywise_mlflow.persistence.tables import agents, canonical_records, model_versions


class StoredAgent(NamedTuple):
    """The current state of an agent."""

    model_id: str
    name: str | None
    status: str | None
    experiment_id: str | None
    experiment_name: str | None
    source_run_id: str | None
    params: Mapping[str, str]
    metrics: Mapping[str, object]
    tags: Mapping[str, str]
    linked_prompts: Sequence[Mapping[str, object]] | None
    created_at: datetime | None
    changed_at: datetime
    deleted_at: datetime | None


@dataclass(frozen=True, slots=True)
class AgentState:
    """A state of an agent, and the period in which it was the current state."""

    model_id: str
    status: str | None
    tags: Mapping[str, str]
    linked_prompts: Sequence[Mapping[str, object]] | None
    valid_from: datetime
    valid_to: datetime | None


def is_agent_of(records: Table) -> ColumnElement[bool]:
    """Return the condition that the version of a record was registered from an agent."""
    return and_(agents.c.tenant_id == records.c.tenant_id, agents.c.model_id == records.c.logged_model_id)


def stored_agents(
    session: TenantSession, name: str | None = None, *, includes_deleted: bool = False
) -> Iterator[StoredAgent]:
    """Yield all agents, or the agents with a given name or ID, sorted by name; of equal names, the newest agent first.

    Agents that MLflow no longer has are left out, unless ``includes_deleted``.
    """
    table = agents.c
    query = select(*(table[field] for field in StoredAgent._fields)).where(table.tenant_id == session.tenant_id)
    if name is not None:
        query = query.where(or_(table.name == name, table.model_id == name))
    if not includes_deleted:
        query = query.where(table.deleted_at.is_(None))
    query = query.order_by(table.name.nulls_last(), table.created_at.desc().nulls_last(), table.model_id)
    for row in session.execute(query.execution_options(yield_per=ROWS_PER_FETCH)):
        yield StoredAgent._make(row)


def agent_names(session: TenantSession) -> list[str]:
    """Return the names and IDs of a tenant's agents, sorted. Agents that MLflow no longer has are included."""
    rows = session.execute(select(agents.c.name, agents.c.model_id).where(agents.c.tenant_id == session.tenant_id))
    return sorted({text for row in rows for text in row if text is not None})


def agent_states(session: TenantSession, name: str) -> list[AgentState]:
    """Return the current and former states of the agents with a given name or ID, the newest state first."""
    named = select(agents.c.model_id).where(
        agents.c.tenant_id == session.tenant_id, or_(agents.c.name == name, agents.c.model_id == name)
    )
    columns = ("model_id", "status", "tags", "linked_prompts")
    rows = present_and_former(session, AGENTS, columns, lambda table: table.c.model_id.in_(named))
    states = [AgentState(*row) for row in rows]
    return sorted(states, key=lambda state: (state.valid_from, state.model_id), reverse=True)


def versions_of_agents(session: TenantSession) -> dict[str, list[Key]]:
    """Return the living versions of models that were registered from agents, by the agent's ID."""
    versions, records = model_versions, canonical_records
    # The record names a logged model only if the version was really registered from that model. The versions have the
    # index for this join.
    is_linked = and_(versions.c.tenant_id == agents.c.tenant_id, versions.c.logged_model_id == agents.c.model_id)
    is_registered = and_(same_version(versions, records), is_agent_of(records))
    rows = session.execute(
        select(agents.c.model_id, records.c.model_name, records.c.version_number)
        .select_from(agents.join(versions, is_linked).join(records, is_registered))
        .where(agents.c.tenant_id == session.tenant_id, records.c.deleted_at.is_(None))
        .order_by(records.c.model_name, records.c.version_number)
    )
    registered: dict[str, list[Key]] = {}
    for model_id, name, number in rows:
        registered.setdefault(model_id, []).append((name, number))
    return registered
