"""Reads the states in the tables and in the log that belong to no version of a model, such as waivers and prompts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Table, select, text

from verifywise_mlflow.persistence.pg_text_codec import escape
from verifywise_mlflow.persistence.queries.stored_states import LoggedState, StoredState
from verifywise_mlflow.persistence.queries.version_ranges import ROWS_PER_FETCH
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.state_contents import (
    CONFIGURATION_COLUMNS,
    WAIVER_COLUMNS,
    WAIVER_END_COLUMNS,
    hash_of_row,
)
from verifywise_mlflow.persistence.state_tables import AGENTS, PROMPT_VERSIONS, StateTable
from verifywise_mlflow.persistence.tables import (
    SCHEMA,
    config_versions,
    waivers,
)

ASSETS: Final = (PROMPT_VERSIONS, AGENTS)
TENANT_KINDS: Final = ("waiver granted", "waiver ended", "configuration", *(assets.kind for assets in ASSETS))
"""The kinds of states that belong to no version of a model."""


def logged_tenant_states(session: TenantSession, kinds: Sequence[str]) -> Iterator[LoggedState]:
    """Yield the states of some of these kinds in the log, in the order of the log."""
    rows = session.execute(
        text(
            f"""
            SELECT position, kind, object_id, written_at, sync_id, content FROM {SCHEMA}.state_log
            WHERE tenant_id = :tenant_id AND kind = ANY (:kinds) ORDER BY position
            """  # noqa: S608
        ).execution_options(yield_per=ROWS_PER_FETCH),
        {"tenant_id": session.tenant_id, "kinds": list(kinds)},
    )
    return (LoggedState(*row) for row in rows)


def tenant_states(session: TenantSession) -> Iterator[tuple[str, str, StoredState]]:
    """Yield the waivers and configurations in the tables, each with its kind of state and its object."""
    for kind, object_id, table, columns, row in tenant_rows(session):
        times = {"waiver granted": "granted_at", "waiver ended": "ended_at", "configuration": "valid_from"}
        sync_id = None if kind == "waiver ended" else escape(row["sync_id"])
        number = f" {row['config_version_id']}" if kind == "configuration" else ""
        identity = f"{'configuration' if number else 'waiver'}{number} {object_id}"
        content = hash_of_row(table, columns, row)
        yield kind, object_id, StoredState(table.name, identity, row[times[kind]], sync_id, content)


def tenant_rows(session: TenantSession) -> Iterator[tuple[str, str, Table, Sequence[str], Mapping[str, Any]]]:
    """Yield the rows of waivers and configurations, each with its kind of state.

    A waiver that has ended has two kinds of states, so its row is yielded twice.
    """
    for table in (waivers, config_versions):
        query = select(table).where(table.c.tenant_id == session.tenant_id)
        rows = session.execute(query.order_by(*table.primary_key).execution_options(yield_per=ROWS_PER_FETCH))
        for row in map(dict, rows.mappings()):
            if table is config_versions:
                yield "configuration", escape(row["kind"]), table, CONFIGURATION_COLUMNS, row
                continue
            yield "waiver granted", str(row["waiver_id"]), table, WAIVER_COLUMNS, row
            if row["ended_at"] is not None or row["end_reason"] is not None:
                yield "waiver ended", str(row["waiver_id"]), table, WAIVER_END_COLUMNS, row


def asset_states(session: TenantSession, assets: StateTable) -> Iterator[tuple[str, StoredState]]:
    """Yield the current and former states of assets of a kind, each with its object in the log."""
    for table, row in asset_rows(session, assets):
        content = hash_of_row(assets.table, assets.columns, row)
        ended = (row.get("valid_to"), row.get("ended_by_sync_id"))
        sync_id = escape(row["sync_id"])
        yield assets.object_id(row), StoredState(table.name, "", row["changed_at"], sync_id, content, *ended)


def asset_rows(session: TenantSession, assets: StateTable) -> Iterator[tuple[Table, Mapping[str, Any]]]:
    """Yield the rows of assets of a kind, each with its table. Current states come first."""
    for table in (assets.table, assets.history):
        query = select(table).where(table.c.tenant_id == session.tenant_id)
        rows = session.execute(query.execution_options(yield_per=ROWS_PER_FETCH))
        for row in rows.mappings():
            yield table, dict(row)
