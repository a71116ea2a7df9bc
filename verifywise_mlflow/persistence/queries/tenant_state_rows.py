"""Reads the states in the tables and in the log that belong to no version of a model, such as waivers and prompts.

Columns are read as texts in their stored form: see ``text_columns``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Row, Table, text

from verifywise_mlflow.audit.state_leaf import content_hash
from verifywise_mlflow.persistence.pg_text_codec import escape
from verifywise_mlflow.persistence.queries.stored_states import LoggedState, StoredState
from verifywise_mlflow.persistence.queries.text_columns import TextColumns
from verifywise_mlflow.persistence.queries.version_ranges import ROWS_PER_FETCH
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.state_contents import CONFIGURATION_COLUMNS, WAIVER_COLUMNS, WAIVER_END_COLUMNS
from verifywise_mlflow.persistence.state_tables import AGENTS, PROMPT_VERSIONS, StateTable
from verifywise_mlflow.persistence.tables import (
    SCHEMA,
    config_versions,
    waivers,
)

ASSETS: Final = (PROMPT_VERSIONS, AGENTS)
TENANT_KINDS: Final = ("waiver granted", "waiver ended", "configuration", *(assets.kind for assets in ASSETS))
"""The kinds of states that belong to no version of a model."""


class TenantRow(NamedTuple):
    """A state in a table, with its kind, its object in the log, and its content."""

    kind: str
    object_id: str
    state: StoredState
    content: Mapping[str, str | None]


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


def tenant_rows(session: TenantSession) -> Iterator[TenantRow]:
    """Yield the states of waivers and configurations.

    A waiver that has ended has two kinds of states, so its row is yielded twice.
    """
    yield from _waivers(session)
    columns = TextColumns.of(config_versions, CONFIGURATION_COLUMNS)
    for row in _rows(session, config_versions, f"{columns.sql}, kind, config_version_id, valid_from, sync_id"):
        *_, kind, number, valid_from, sync_id = row
        content = columns.content(row)
        identity = f"configuration {number} {kind}"
        state = StoredState("config_versions", identity, valid_from, sync_id, content_hash(content))
        yield TenantRow("configuration", kind, state, content)


def _waivers(session: TenantSession) -> Iterator[TenantRow]:
    granted, ended = (TextColumns.of(waivers, names) for names in (WAIVER_COLUMNS, WAIVER_END_COLUMNS))
    fields = f"{granted.sql}, end_reason, waiver_id, granted_at, ended_at, sync_id"
    for row in _rows(session, waivers, fields):
        *_, end_reason, waiver_id, granted_at, ended_at, sync_id = row
        object_id, identity = str(waiver_id), f"waiver {waiver_id}"
        content = granted.content(row)
        state = StoredState("waivers", identity, granted_at, sync_id, content_hash(content))
        yield TenantRow("waiver granted", object_id, state, content)
        if ended_at is not None or end_reason is not None:
            content = ended.content([end_reason])
            state = StoredState("waivers", identity, ended_at, None, content_hash(content))
            yield TenantRow("waiver ended", object_id, state, content)


def asset_rows(session: TenantSession, assets: StateTable) -> Iterator[TenantRow]:
    """Yield the current and former states of assets of a kind. Current states come first."""
    columns = TextColumns.of(assets.table, assets.columns)
    for table in (assets.table, assets.history):
        ends = "valid_to, ended_by_sync_id" if table is assets.history else "NULL::timestamptz, NULL::text"
        for row in _rows(session, table, f"{columns.sql}, changed_at, sync_id, {ends}"):
            content = columns.content(row)
            changed_at, sync_id, *end = row[-4:]
            state = StoredState(table.name, "", changed_at, sync_id, content_hash(content), *end)
            yield TenantRow(assets.kind, "/".join(str(content[name]) for name in assets.key), state, content)


def _rows(session: TenantSession, table: Table, fields: str) -> Iterator[Row[Any]]:
    """Yield fields of the tenant's rows, in the order of the primary key."""
    order = ", ".join(column.name for column in table.primary_key)
    query = text(
        f"SELECT {fields} FROM {SCHEMA}.{table.name} WHERE tenant_id = :tenant_id ORDER BY {order}"  # noqa: S608  # our own names
    )
    rows = session.execute(query.execution_options(yield_per=ROWS_PER_FETCH), {"tenant_id": escape(session.tenant_id)})
    for page in rows.partitions(ROWS_PER_FETCH):  # yield_per does not limit the pages of a textual query
        yield from page
