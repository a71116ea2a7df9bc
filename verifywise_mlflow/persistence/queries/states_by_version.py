"""States and events of many versions as of a given time, with a few queries. A naive time raises ``ValueError``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import select

from verifywise_mlflow.artifacts.integrity import ByteChange
from verifywise_mlflow.normalizer.lifecycle_event import EventKind
from verifywise_mlflow.persistence.queries.history import (
    BadgeState,
    RecordState,
    VerdictState,
    badge_state,
    badge_states,
    record_state,
    record_states,
    to_utc,
    valid_at,
    verdict_state,
    verdict_states,
)
from verifywise_mlflow.persistence.queries.version_lookup import of_versions
from verifywise_mlflow.persistence.repositories.integrity import IntegrityEvent
from verifywise_mlflow.persistence.repositories.lifecycle_events import RecordedEvent, recorded_event
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import canonical_records, integrity_events, lifecycle_events


def living_versions(session: TenantSession) -> list[Key]:
    """Return the keys of all versions that MLflow still has, sorted."""
    table = canonical_records
    query = (
        select(table.c.model_name, table.c.version_number)
        .where(table.c.tenant_id == session.tenant_id, table.c.deleted_at.is_(None))
        .order_by(table.c.model_name, table.c.version_number)
    )
    return [(name, number) for name, number in session.execute(query)]


def records_as_of(session: TenantSession, keys: Collection[Key], at: datetime) -> dict[Key, RecordState]:
    """Return the records as of a given time. Versions without a record at that time are left out."""
    query = of_versions(session, record_states, keys, *valid_at(record_states, at))
    states = (record_state(row) for row in session.execute(query).mappings())
    return {state.key: state for state in states}


def verdicts_as_of(session: TenantSession, keys: Collection[Key], at: datetime) -> Mapping[Key, list[VerdictState]]:
    """Return the verdicts on versions as of a given time, sorted by rule."""
    query = of_versions(session, verdict_states, keys, *valid_at(verdict_states, at))
    states: defaultdict[Key, list[VerdictState]] = defaultdict(list)
    for row in session.execute(query).mappings():
        states[row["model_name"], row["version_number"]].append(verdict_state(row))
    for of_version in states.values():
        of_version.sort(key=lambda state: state.rule_id)
    return states


def badges_until(session: TenantSession, keys: Collection[Key], at: datetime) -> Mapping[Key, list[BadgeState]]:
    """Return the badges that versions have had up to a given time, the oldest badge first."""
    query = of_versions(session, badge_states, keys, badge_states.c.valid_from <= to_utc(at))
    states: defaultdict[Key, list[BadgeState]] = defaultdict(list)
    for row in session.execute(query).mappings():
        states[row["model_name"], row["version_number"]].append(badge_state(row))
    for of_version in states.values():
        of_version.sort(key=lambda state: state.span.valid_from)
    return states


def lifecycle_events_until(
    session: TenantSession, keys: Collection[Key], at: datetime
) -> Mapping[Key, list[RecordedEvent]]:
    """Return the events of versions up to a given time, oldest first.

    The events include moves of aliases to or from a version.
    """
    table = lifecycle_events
    own_events = of_versions(session, table, keys, table.c.seen_at <= to_utc(at), table.c.kind != EventKind.ALIAS.value)
    of_aliases = select(table).where(
        table.c.tenant_id == session.tenant_id,
        table.c.model_name.in_({name for name, _ in keys}),
        table.c.kind == EventKind.ALIAS.value,
        table.c.seen_at <= to_utc(at),
    )
    events: defaultdict[Key, list[tuple[int, RecordedEvent]]] = defaultdict(list)
    for row in session.execute(own_events).mappings():
        events[row["model_name"], row["version_number"]].append((row["event_id"], recorded_event(row)))
    wanted = frozenset(keys)
    for row in session.execute(of_aliases).mappings():
        numbers = {row["version_number"], *_version_numbers(row["previous"], row["value"])}
        for key in {(row["model_name"], number) for number in numbers} & wanted:
            events[key].append((row["event_id"], recorded_event(row)))
    return {
        key: [event for _, event in sorted(of_version, key=lambda pair: pair[0])] for key, of_version in events.items()
    }


def integrity_events_until(
    session: TenantSession, keys: Collection[Key], at: datetime
) -> Mapping[Key, list[tuple[IntegrityEvent, datetime]]]:
    """Return the changes of versions' files up to a given time, each with the time when it was seen, oldest first."""
    table = integrity_events
    query = of_versions(session, table, keys, table.c.seen_at <= to_utc(at))
    events: defaultdict[Key, list[tuple[IntegrityEvent, datetime]]] = defaultdict(list)
    for row in sorted(session.execute(query).mappings(), key=lambda row: row["event_id"]):
        key = (row["model_name"], row["version_number"])
        names = ("kind", "root", "path", "former_sha256", "sha256", "former_size", "size")
        change = ByteChange(**{name: row[name] for name in names})
        event = IntegrityEvent(key, row["incarnation"], row["location"], change, row["former_read_at"])
        events[key].append((event, row["seen_at"]))
    return events


def _version_numbers(*texts: str | None) -> set[int]:
    return {int(text) for text in texts if text and text.isdecimal()}
