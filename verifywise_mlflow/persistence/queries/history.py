"""Reads the history of records, verdicts and badges: the states as of a given time, or all states in order.

Triggers write the history. A state is valid in the half-open interval ``[valid_from, valid_to)``. Times are UTC and
time-zone aware; a naive time is refused, since a guess of its zone could return another day's state.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TypeAlias

from sqlalchemy import ColumnElement, RowMapping, Table, TableClause, and_, column, or_, select, table

from verifywise_mlflow.normalizer.record import CanonicalRecord
from verifywise_mlflow.persistence.batch_limits import ROWS_PER_BATCH
from verifywise_mlflow.persistence.queries.version_lookup import of_versions
from verifywise_mlflow.persistence.repositories.verdicts import canonical_record
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import (
    SCHEMA,
    canonical_record_history,
    compliance_badge_history,
    compliance_result_history,
)


@dataclass(frozen=True, slots=True)
class Validity:
    """When a state was valid, and which syncs wrote and ended it."""

    valid_from: datetime
    sync_id: str
    """Empty for a state that no sync wrote: somebody changed the row by hand."""
    valid_to: datetime | None
    """None for the current state."""
    ended_by_sync_id: str | None


@dataclass(frozen=True, slots=True)
class RecordState:
    """A canonical record while it was unchanged."""

    record: CanonicalRecord
    origins: Mapping[str, Mapping[str, object]]
    """Field to the provenance of its value."""
    incomplete: Sequence[Mapping[str, object]]
    """The objects that could not be read: ``{kind, sentences, fields}``."""
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
    """A rule's verdict on a version while it was unchanged."""

    rule_id: str
    rule_version: int
    verdict: str
    reason: str
    values: Mapping[str, object]
    policy_id: str
    policy_version: str
    """The version of the policy that first gave this verdict. Later versions may have confirmed it."""
    origins: Mapping[str, Mapping[str, object]]
    thresholds: Mapping[str, float]
    day: date | None
    """The day of the evaluation that first gave the verdict, if the rule depends on the day."""
    input_hash: str
    """A hash of everything that the verdict follows from; see ``compliance.input_hash``."""
    span: Validity
    open_since: datetime | None = None
    """Since when the gap has been open without interruption, even while its objects are not read; None if no gap is
    open."""


@dataclass(frozen=True, slots=True)
class BadgeState:
    """A version's badge while it was unchanged."""

    badge: str
    evaluated_at: datetime
    """When an evaluation last gave this badge."""
    span: Validity


def _states_view(name: str, history: Table, start_column: str) -> TableClause:
    """Return the view over a table and its history: the history's columns, with the start named ``valid_from``."""
    columns = [
        column("valid_from" if source.name == start_column else source.name, source.type)
        for source in history.columns
        if source.name != "state_id"
    ]
    return table(name, *columns, schema=SCHEMA)


record_states = _states_view("canonical_record_states", canonical_record_history, "changed_at")
verdict_states = _states_view("compliance_result_states", compliance_result_history, "evaluated_at")
badge_states = _states_view("compliance_badge_states", compliance_badge_history, "changed_at")


def record_as_of(session: TenantSession, key: Key, at: datetime) -> RecordState | None:
    """Return a version's record as of a given time; None if the version had no record.

    Raises:
        ValueError: the time is naive.
    """
    states = _record_states(session, *_of_version(record_states, session.tenant_id, key), *valid_at(record_states, at))
    return states[0] if states else None


def record_states_of(session: TenantSession, key: Key) -> list[RecordState]:
    """Return all states of a version's record, the oldest first."""
    return _record_states(session, *_of_version(record_states, session.tenant_id, key))


def verdicts_as_of(session: TenantSession, key: Key, at: datetime) -> list[VerdictState]:
    """Return the verdicts on a version as of a given time, sorted by rule.

    Raises:
        ValueError: the time is naive.
    """
    states = _verdict_states(
        session, *_of_version(verdict_states, session.tenant_id, key), *valid_at(verdict_states, at)
    )
    return sorted(states, key=lambda state: state.rule_id)


def verdict_states_of(session: TenantSession, key: Key) -> list[VerdictState]:
    """Return all states of the verdicts on a version, sorted by their start."""
    return _verdict_states(session, *_of_version(verdict_states, session.tenant_id, key))


def badge_states_of(session: TenantSession, key: Key) -> list[BadgeState]:
    """Return all states of a version's badge, the oldest first."""
    return _badge_states(session, *_of_version(badge_states, session.tenant_id, key))


@dataclass(frozen=True, slots=True)
class Period:
    """The interval ``(since, until]`` for a tenant, one model or one version.

    Raises:
        ValueError: a time is naive, or ``until`` is not after ``since``.
    """

    since: datetime
    until: datetime
    model_name: str | None = None
    version_number: int | None = None

    def __post_init__(self) -> None:
        if to_utc(self.since) >= to_utc(self.until):
            raise ValueError(f"the time {self.until.isoformat()} does not come after {self.since.isoformat()}")


RecordTransition: TypeAlias = tuple[RecordState | None, RecordState]
"""A record before and after a change; the first is None if there was no record before."""


def net_record_transitions(session: TenantSession, period: Period) -> Iterator[RecordTransition]:
    """Yield, for each version whose record changed in a period, its states at the start and at the end."""
    is_first_or_last = or_(*(and_(*valid_at(record_states, at)) for at in (period.since, period.until)))
    for of_version in _states_of_changed(session, period, is_first_or_last):
        yield (of_version[0] if of_version[0].span.valid_from <= period.since else None), of_version[-1]


def _states_of_changed(
    session: TenantSession, period: Period, condition: ColumnElement[bool]
) -> Iterator[list[RecordState]]:
    """Yield, for each version that changed in a period, its states that meet a condition, oldest first."""
    states = record_states.c
    changed = select(states.model_name, states.version_number).where(
        states.tenant_id == session.tenant_id, states.valid_from > period.since, states.valid_from <= period.until
    )
    if period.model_name is not None:
        changed = changed.where(states.model_name == period.model_name)
    if period.version_number is not None:
        changed = changed.where(states.version_number == period.version_number)
    keys = sorted((name, number) for name, number in session.execute(changed.distinct()))
    for start in range(0, len(keys), ROWS_PER_BATCH):
        by_key: dict[Key, list[RecordState]] = {key: [] for key in keys[start : start + ROWS_PER_BATCH]}
        for row in session.execute(of_versions(session, record_states, by_key, condition)).mappings():
            by_key[row["model_name"], row["version_number"]].append(record_state(row))
        for of_version in filter(None, by_key.values()):
            yield sorted(of_version, key=_revision)


def valid_at(states: TableClause, at: datetime) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Return the conditions that a state was valid at a given time.

    Raises:
        ValueError: the time is naive.
    """
    moment = to_utc(at)
    return states.c.valid_from <= moment, or_(states.c.valid_to > moment, states.c.valid_to.is_(None))


def to_utc(at: datetime) -> datetime:
    """Return the time in UTC.

    Raises:
        ValueError: the time is naive.
    """
    if at.tzinfo is None:
        raise ValueError(f"{at.isoformat()} has no zone: write datetime(..., tzinfo=UTC)")
    return at.astimezone(UTC)


def _of_version(states: TableClause, tenant_id: str, key: Key) -> tuple[ColumnElement[bool], ...]:
    name, number = key
    return states.c.tenant_id == tenant_id, states.c.model_name == name, states.c.version_number == number


def _record_states(session: TenantSession, *conditions: ColumnElement[bool]) -> list[RecordState]:
    rows = session.execute(select(record_states).where(*conditions)).mappings()
    return sorted((record_state(row) for row in rows), key=_revision)


def _revision(state: RecordState) -> int:
    """Return the sort key of states. Each write draws a higher revision, even if the clock was set back."""
    return state.revision


def record_state(row: RowMapping) -> RecordState:
    """Return the state in a row of ``record_states``."""
    return RecordState(
        record=canonical_record(dict(row)),
        origins=row["origins"],
        incomplete=row["incomplete"],
        findings=row["findings"],
        deleted_at=row["deleted_at"],
        revision=row["revision"],
        span=_span(row),
    )


def _verdict_states(session: TenantSession, *conditions: ColumnElement[bool]) -> list[VerdictState]:
    states = verdict_states.c
    query = select(verdict_states).where(*conditions).order_by(states.valid_from, states.valid_to.nulls_last())
    return [verdict_state(row) for row in session.execute(query).mappings()]


def verdict_state(row: RowMapping) -> VerdictState:
    """Return the state in a row of ``verdict_states``."""
    return VerdictState(
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
        open_since=row["open_since"],
    )


def _badge_states(session: TenantSession, *conditions: ColumnElement[bool]) -> list[BadgeState]:
    states = badge_states.c
    query = select(badge_states).where(*conditions).order_by(states.valid_from, states.valid_to.nulls_last())
    return [badge_state(row) for row in session.execute(query).mappings()]


def badge_state(row: RowMapping) -> BadgeState:
    """Return the state in a row of ``badge_states``."""
    return BadgeState(badge=row["badge"], evaluated_at=row["evaluated_at"], span=_span(row))


def _span(row: RowMapping) -> Validity:
    return Validity(row["valid_from"], row["sync_id"], row["valid_to"], row["ended_by_sync_id"])
