"""Compares states that belong to no version of a model, such as waivers, in the log and in the tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Final

from verifywise_mlflow.persistence.queries import tenant_state_rows
from verifywise_mlflow.persistence.queries.stored_states import LoggedState, StoredState
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.services.record_verification.damages import damage_of
from verifywise_mlflow.services.record_verification.field_search import (
    Cells,
    SearchLimit,
    changed_fields,
    columns_of_others,
)
from verifywise_mlflow.services.record_verification.matching import (
    Mismatch,
    changed_times,
    mismatches,
    with_logged_syncs,
)
from verifywise_mlflow.services.record_verification.registry_asset_states import check_registry_asset_states
from verifywise_mlflow.services.record_verification.report import Checked, FieldChange, RecordDamage
from verifywise_mlflow.services.record_verification.witnesses import granted_terms

_TABLES: Final = {"waiver granted": "waivers", "waiver ended": "waivers", "configuration": "config_versions"}
_TIME_COLUMNS: Final = {"waiver granted": "granted_at", "waiver ended": "ended_at", "configuration": "valid_from"}
_END_REASONS: Final = ("withdrawn", "expired", "superseded")


def check_tenant_states(session: TenantSession, limit: SearchLimit, checked: Checked) -> Iterator[RecordDamage]:
    """Yield the damaged rows of waivers, configurations, prompts and agents."""
    logged: defaultdict[tuple[str, str], list[LoggedState]] = defaultdict(list)
    for entry in tenant_state_rows.logged_tenant_states(session, [*_TABLES]):
        logged[entry.kind, entry.object_id].append(entry)
        checked.states += 1
    stored: defaultdict[tuple[str, str], list[StoredState]] = defaultdict(list)
    for row in tenant_state_rows.tenant_rows(session):
        stored[row.kind, row.object_id].append(row.state)
    contents: Mapping[tuple[str, str], Cells] | None = None
    for kind, object_id in sorted({*logged, *stored}):
        entries, states = logged[kind, object_id], stored[kind, object_id]
        for mismatch in mismatches(entries, with_logged_syncs(entries, states) if kind == "waiver ended" else states):
            changes = changed_times(mismatch, _TIME_COLUMNS[kind])
            if mismatch.has_other_content and limit.take():
                if contents is None:
                    contents = _contents(session)
                changes += _changed_fields(session, kind, mismatch, contents)
            damage = damage_of(("", 0), mismatch, _TABLES[kind], changes)
            yield _named(damage, kind, object_id)
    for assets in tenant_state_rows.ASSETS:
        yield from check_registry_asset_states(session, assets, limit, checked)


def _contents(session: TenantSession) -> dict[tuple[str, str], Cells]:
    return {(row.kind, row.state.row): row.content for row in tenant_state_rows.tenant_rows(session)}


def _changed_fields(
    session: TenantSession, kind: str, mismatch: Mismatch, contents: Mapping[tuple[str, str], Cells]
) -> list[FieldChange]:
    stored, logged = mismatch.stored, mismatch.logged
    assert stored is not None
    assert logged is not None
    content = contents[kind, stored.row]
    others: list[Cells] = []
    if kind == "waiver granted":
        terms = [*granted_terms(session)]
        others = [*terms, *columns_of_others(terms), *({"source": source} for source in ("file", "command"))]
    elif kind == "waiver ended":
        others = [{"end_reason": reason} for reason in _END_REASONS]
    return changed_fields(content, logged.content, others)


def _named(damage: RecordDamage, kind: str, object_id: str) -> RecordDamage:
    if damage.kind != "removed":
        return damage
    sentence = (
        "its end was logged, and the row does not have it any more" if kind == "waiver ended" else damage.sentence
    )
    row = f"{kind if kind == 'configuration' else 'waiver'} {object_id}"
    return RecordDamage(
        damage.kind, damage.table, sentence, "", 0, row, damage.written_at, damage.sync_id, damage.fields
    )
