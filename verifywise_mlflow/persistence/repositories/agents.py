"""Agents as last listed, and the experiments of the stored training runs and logged models."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import ARRAY, any_, cast, select, union

from verifywise_mlflow.common.json_value import Json
from verifywise_mlflow.common.value_object import value_object
from verifywise_mlflow.connector.models import Redaction
from verifywise_mlflow.persistence.batch_limits import ROWS_PER_FETCH
from verifywise_mlflow.persistence.pg_text_codec import Text
from verifywise_mlflow.persistence.repositories import asset_states, tenancy
from verifywise_mlflow.persistence.repositories.registry import ListedObject, StoredObject
from verifywise_mlflow.persistence.row_mapping import Row, columns_of
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.state_tables import AGENTS
from verifywise_mlflow.persistence.tables import agents, logged_models, training_runs

LISTING: Final = "agents"
"""The name under which ``stage_refreshes`` records a complete listing of agents."""


@value_object
class ListedAgent:
    """An agent as it is stored. Its fields are columns of the table."""

    model_id: str
    name: str | None
    status: str | None
    experiment_id: str | None
    experiment_name: str | None
    source_run_id: str | None
    created_at: datetime | None
    last_updated_at: datetime | None
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    linked_prompts: Json
    problems: tuple[str, ...]
    redactions: tuple[Redaction, ...]


def known_agents(session: TenantSession) -> dict[str, tuple[StoredObject, str | None]]:
    """Return, by ID, the stored state of each agent and the agent's experiment, tombstones included."""
    table = agents.c
    columns = (table.fingerprint, table.deleted_at.is_not(None), table.created_at, table.incarnation)
    query = select(table.model_id, table.experiment_id, *columns).where(table.tenant_id == session.tenant_id)
    rows = session.execute(query.execution_options(yield_per=ROWS_PER_FETCH))
    return {model_id: (StoredObject(*stored), experiment_id) for model_id, experiment_id, *stored in rows}


def registry_experiments(session: TenantSession) -> list[str]:
    """Return the experiments of all stored training runs and logged models, sorted."""
    of_objects = union(
        *(
            select(table.c.experiment_id).where(
                table.c.tenant_id == session.tenant_id, table.c.experiment_id.is_not(None)
            )
            for table in (training_runs, logged_models)
        )
    )
    return sorted(session.scalars(of_objects))


def write_agents(
    session: TenantSession, listed: Sequence[ListedObject[ListedAgent]], sync_id: str, now: datetime
) -> None:
    """Upsert agents, and append their states to the log."""
    rows: list[Row] = [
        {**columns_of(change.entity), "sync_id": sync_id, **change.row_values(session.tenant_id, now)}
        for change in listed
    ]
    asset_states.write_states(session, AGENTS, rows, sync_id, now)


def mark_agents_deleted(session: TenantSession, model_ids: Collection[str], sync_id: str, now: datetime) -> int:
    """Soft delete (tombstone) agents; return how many of them were living."""
    is_named = agents.c.model_id == any_(cast(list(model_ids), ARRAY(Text)))
    return asset_states.mark_deleted(session, AGENTS, is_named, sync_id, now)


def were_listed(session: TenantSession) -> bool:
    """Return whether the agents were ever listed completely."""
    return LISTING in tenancy.stage_refreshes_of(session)


def record_complete_listing(session: TenantSession, sync_id: str, now: datetime) -> None:
    """Record that all agents were listed."""
    tenancy.record_refresh(session, LISTING, sync_id, now, reconciled=True)
