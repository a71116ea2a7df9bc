"""Compares the present and former states of prompts and agents in the log with the states in the tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

from verifywise_mlflow.persistence.queries import tenant_state_rows
from verifywise_mlflow.persistence.queries.stored_states import LoggedState, StoredState
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.state_tables import StateTable
from verifywise_mlflow.services.record_verification.damages import GONE, damage_of, damage_of_state
from verifywise_mlflow.services.record_verification.field_search import (
    Cells,
    SearchLimit,
    changed_fields,
    columns_of_others,
)
from verifywise_mlflow.services.record_verification.matching import (
    Mismatch,
    changed_times,
    in_log_order,
    mismatches_with_history,
    span_changes,
    with_moved_times,
)
from verifywise_mlflow.services.record_verification.report import Checked, FieldChange, RecordDamage


def check_registry_asset_states(
    session: TenantSession, assets: StateTable, limit: SearchLimit, checked: Checked
) -> Iterator[RecordDamage]:
    """Yield the damaged rows of a kind of asset. Each row is named by its key, like a model's version."""
    logged: defaultdict[str, list[LoggedState]] = defaultdict(list)
    for entry in tenant_state_rows.logged_tenant_states(session, [assets.kind]):
        logged[entry.object_id].append(entry)
        checked.states += 1
    stored: defaultdict[str, list[StoredState]] = defaultdict(list)
    for row in tenant_state_rows.asset_rows(session, assets):
        stored[row.object_id].append(row.state)
    for object_id in sorted({*logged, *stored}):
        for damage in _damages(session, assets, object_id, logged[object_id], stored[object_id], limit):
            name, _, number = object_id.rpartition("/") if len(assets.key) > 1 else (object_id, "", "")
            is_number = number.isdecimal() and len(number) < 10
            yield replace(damage, model_name=name, version_number=int(number) if is_number else 0, row="")


def _damages(
    session: TenantSession,
    assets: StateTable,
    object_id: str,
    logged: Sequence[LoggedState],
    states: Sequence[StoredState],
    limit: SearchLimit,
) -> Iterator[RecordDamage]:
    table = assets.table.name
    logged = with_moved_times(logged)
    found = mismatches_with_history(logged, states, table)
    for mismatch in found:
        changes = changed_times(mismatch, "changed_at")
        if mismatch.has_other_content and limit.take():
            changes += _changed_fields(session, assets, object_id, mismatch)
        yield damage_of(("", 0), mismatch, table, changes)
    if not found:
        for state, span in span_changes(in_log_order(logged, states)):
            yield damage_of_state(("", 0), state, "its span is not that of the log", span)
    if states and logged and all(state.table != table for state in states):
        yield RecordDamage("removed", table, GONE, written_at=logged[-1].written_at, sync_id=logged[-1].sync_id)


def _changed_fields(
    session: TenantSession, assets: StateTable, object_id: str, mismatch: Mismatch
) -> list[FieldChange]:
    """Return the fields that differ, found with the values of the other states of the object."""
    stored, logged = mismatch.stored, mismatch.logged
    assert stored is not None
    assert logged is not None
    content: Cells = {}
    others: list[Cells] = []
    for row in tenant_state_rows.asset_rows(session, assets):
        if row.object_id != object_id:
            continue
        if row.state == stored:
            content = row.content
        else:
            others.append(row.content)
    return changed_fields(content, logged.content, [*others, *columns_of_others(others)])
