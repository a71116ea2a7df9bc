"""The states that records, verdicts and badges have had: as of a time, and one after the other.

Triggers keep them; nothing here writes. A state holds from its first moment until the next one's: ``[valid_from,
valid_to)``. Times are UTC and have a zone; one without is refused, since guessing it could show another day's state.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import pairwise
from typing import TypeAlias

from sqlalchemy import ColumnElement, RowMapping, Table, TableClause, column, or_, select, table, tuple_

from verifywise_mlflow.normalizer.record import CanonicalRecord
from verifywise_mlflow.persistence.repositories.verdicts import canonical_record
from verifywise_mlflow.persistence.row_mapping import BATCH_SIZE, Key
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import (
    SCHEMA,
    canonical_record_history,
    compliance_badge_history,
    compliance_result_history,
)


@dataclass(frozen=True, slots=True)
class Validity:
    """When a state held, and which syncs made and ended it."""

    valid_from: datetime
    sync_id: str
    """Empty for a state that no sync made: it is older than the history, or somebody changed the row by hand."""
    valid_to: datetime | None
    """Null for the present state."""
    ended_by_sync_id: str | None


@dataclass(frozen=True, slots=True)
class RecordState:
    """A canonical record as it was in a span of time."""

    record: CanonicalRecord
    origins: Mapping[str, Mapping[str, object]]
    """Field to where its value came from."""
    incomplete: Sequence[str]
    findings: Sequence[Mapping[str, object]]
    deleted_at: datetime | None
    revision: int
    span: Validity

    @property
    def key(self) -> Key:
        """The version's model name and number."""
        return (self.record.model_name, self.record.version_number)


@dataclass(frozen=True, slots=True)
class VerdictState:
    """A rule's verdict on a version as it was in a span of time."""

    rule_id: str
    rule_version: int
    verdict: str
    reason: str
    values: Mapping[str, object]
    policy_id: str
    policy_version: str
    """Of the policy that gave this verdict first; later ones may have given it again."""
    origins: Mapping[str, Mapping[str, object]]
    thresholds: Mapping[str, float]
    day: date | None
    """On which it was given first, where the rule looks at the day."""
    input_hash: str
    """Of what it follows from: ``compliance.input_hash``. Empty for one that is older than these hashes."""
    span: Validity


@dataclass(frozen=True, slots=True)
class BadgeState:
    """A version's badge as it was in a span of time."""

    badge: str
    evaluated_at: datetime
    """When it was last judged to be this one."""
    span: Validity


def _states(name: str, kept: Table, begin: str) -> TableClause:
    """Return the view over a table and its history; its columns are those of the history but for the begin's name."""
    columns = [
        column("valid_from" if one.name == begin else one.name, one.type)
        for one in kept.columns
        if one.name != "state_id"
    ]
    return table(name, *columns, schema=SCHEMA)


record_states = _states("canonical_record_states", canonical_record_history, "changed_at")
verdict_states = _states("compliance_result_states", compliance_result_history, "evaluated_at")
badge_states = _states("compliance_badge_states", compliance_badge_history, "changed_at")


def record_as_of(session: TenantSession, key: Key, at: datetime) -> RecordState | None:
    """Return a version's record as it was at a time; None if it was not known then.

    Raises:
        ValueError: the time has no zone.
    """
    found = _record_states(session, *_of_version(record_states, session.tenant_id, key), *valid_at(record_states, at))
    return found[0] if found else None


def record_states_of(session: TenantSession, key: Key) -> list[RecordState]:
    """Return all states of a version's record, the oldest first."""
    return _record_states(session, *_of_version(record_states, session.tenant_id, key))


def verdicts_as_of(session: TenantSession, key: Key, at: datetime) -> list[VerdictState]:
    """Return the verdicts on a version as they were at a time, in the order of the rules' names."""
    found = _verdict_states(
        session, *_of_version(verdict_states, session.tenant_id, key), *valid_at(verdict_states, at)
    )
    return sorted(found, key=lambda state: state.rule_id)


def verdict_states_of(session: TenantSession, key: Key) -> list[VerdictState]:
    """Return all states of the verdicts on a version, in the order of their beginnings."""
    return _verdict_states(session, *_of_version(verdict_states, session.tenant_id, key))


def badge_as_of(session: TenantSession, key: Key, at: datetime) -> BadgeState | None:
    """Return a version's badge as it was at a time; None if it had not been judged then."""
    found = _badge_states(session, *_of_version(badge_states, session.tenant_id, key), *valid_at(badge_states, at))
    return found[0] if found else None


def badge_states_of(session: TenantSession, key: Key) -> list[BadgeState]:
    """Return all states of a version's badge, the oldest first."""
    return _badge_states(session, *_of_version(badge_states, session.tenant_id, key))


@dataclass(frozen=True, slots=True)
class Period:
    """What lies after ``since``, up to and with ``until``: of a tenant, of one model, or of one version.

    Raises:
        ValueError: a time has no zone, or the end does not come after the beginning.
    """

    since: datetime
    until: datetime
    model_name: str | None = None
    version_number: int | None = None

    def __post_init__(self) -> None:
        if to_utc(self.since) >= to_utc(self.until):
            raise ValueError(f"the time {self.until.isoformat()} does not come after {self.since.isoformat()}")


RecordTransition: TypeAlias = tuple[RecordState | None, RecordState]
"""What a record was, if it was known then, and what became of it."""


def record_changes(session: TenantSession, period: Period) -> Iterator[RecordTransition]:
    """Yield each change of a record in a period, version by version, the oldest first."""
    for states in _states_within(session, period):
        if states[0].span.valid_from > period.since:
            yield None, states[0]
        yield from pairwise(states)


def net_record_changes(session: TenantSession, period: Period) -> Iterator[RecordTransition]:
    """Yield, of each version whose record changed in a period, what it was before and what it is at the end."""
    for states in _states_within(session, period):
        yield (states[0] if states[0].span.valid_from <= period.since else None), states[-1]


def _states_within(session: TenantSession, period: Period) -> Iterator[list[RecordState]]:
    """Yield the states of each version that has changed, from the one that held when the period began."""
    states = record_states.c
    wanted = [states.tenant_id == session.tenant_id, states.valid_from <= period.until]
    if period.model_name is not None:
        wanted.append(states.model_name == period.model_name)
    if period.version_number is not None:
        wanted.append(states.version_number == period.version_number)
    version = tuple_(states.model_name, states.version_number)
    found = session.execute(
        select(states.model_name, states.version_number).where(*wanted, states.valid_from > period.since).distinct()
    )
    keys = sorted((name, number) for name, number in found)
    for start in range(0, len(keys), BATCH_SIZE):
        by_key: dict[Key, list[RecordState]] = {key: [] for key in keys[start : start + BATCH_SIZE]}
        is_within = or_(states.valid_to > period.since, states.valid_to.is_(None))
        for state in _record_states(session, *wanted, is_within, version.in_(by_key)):
            by_key[state.key].append(state)
        yield from by_key.values()


def valid_at(states: TableClause, at: datetime) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Return the conditions that a state held at a time.

    Raises:
        ValueError: the time has no zone.
    """
    moment = to_utc(at)
    return states.c.valid_from <= moment, or_(states.c.valid_to > moment, states.c.valid_to.is_(None))


def to_utc(at: datetime) -> datetime:
    """Return the time in UTC.

    Raises:
        ValueError: it has no zone.
    """
    if at.tzinfo is None:
        raise ValueError(f"{at.isoformat()} has no zone: write datetime(..., tzinfo=UTC)")
    return at.astimezone(UTC)


def _of_version(states: TableClause, tenant_id: str, key: Key) -> tuple[ColumnElement[bool], ...]:
    name, number = key
    return states.c.tenant_id == tenant_id, states.c.model_name == name, states.c.version_number == number


def _record_states(session: TenantSession, *wanted: ColumnElement[bool]) -> list[RecordState]:
    # A revision is drawn at each write, so it keeps the order even where the clock went back.
    query = select(record_states).where(*wanted).order_by(record_states.c.revision)
    return [
        RecordState(
            record=canonical_record(dict(row)),
            origins=row["origins"],
            incomplete=row["incomplete"],
            findings=row["findings"],
            deleted_at=row["deleted_at"],
            revision=row["revision"],
            span=_span(row),
        )
        for row in session.execute(query).mappings()
    ]


def _verdict_states(session: TenantSession, *wanted: ColumnElement[bool]) -> list[VerdictState]:
    states = verdict_states.c
    query = select(verdict_states).where(*wanted).order_by(states.valid_from, states.valid_to.nulls_last())
    return [
        VerdictState(
            rule_id=row["rule_id"],
            rule_version=row["rule_version"],
            verdict=row["verdict"],
            reason=row["reason"],
            values=row["values"],
            policy_id=row["policy_id"],
            policy_version=row["policy_version"],
            origins=row["origins"],
            thresholds=row["thresholds"],
            day=row["day"],
            input_hash=row["input_hash"],
            span=_span(row),
        )
        for row in session.execute(query).mappings()
    ]


def _badge_states(session: TenantSession, *wanted: ColumnElement[bool]) -> list[BadgeState]:
    states = badge_states.c
    query = select(badge_states).where(*wanted).order_by(states.valid_from, states.valid_to.nulls_last())
    return [
        BadgeState(badge=row["badge"], evaluated_at=row["evaluated_at"], span=_span(row))
        for row in session.execute(query).mappings()
    ]


def _span(row: RowMapping) -> Validity:
    return Validity(row["valid_from"], row["sync_id"], row["valid_to"], row["ended_by_sync_id"])
