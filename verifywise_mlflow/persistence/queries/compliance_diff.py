"""How verdicts and badges changed between two times: the net difference, version by version."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from sqlalchemy import ColumnElement, DateTime, TableClause, any_, func, literal, select, union, union_all

from verifywise_mlflow.persistence.batch_limits import ROWS_PER_BATCH
from verifywise_mlflow.persistence.queries.history import (
    Period,
    badge_states,
    record_states,
    to_utc,
    valid_at,
    verdict_states,
)
from verifywise_mlflow.persistence.queries.version_lookup import of_versions
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import (
    compliance_badge_history,
    compliance_badges,
    version_verdict_history,
    version_verdicts,
)


@dataclass(frozen=True, slots=True)
class VerdictChange:
    """A rule whose verdict on a version changed."""

    rule_id: str
    before: str | None
    """None if the rule was not evaluated on the version."""
    after: str | None
    """None if the rule is no longer evaluated on the version."""
    reason: str | None
    """The reason of the later verdict."""


@dataclass(frozen=True, slots=True)
class ComplianceChange:
    """How the badge of a version and the verdicts on it changed."""

    key: Key
    badge_before: str | None
    """None if the version was not evaluated."""
    badge_after: str | None
    verdicts: tuple[VerdictChange, ...]
    """Sorted by rule. A verdict that changed during the period and changed back is left out."""


def net_compliance_changes(session: TenantSession, period: Period) -> Iterator[ComplianceChange]:
    """Yield the versions whose badge or verdicts differ between the start and the end of a period, sorted by key."""
    keys = _versions_with_changes(session, period)
    for start in range(0, len(keys), ROWS_PER_BATCH):
        batch = keys[start : start + ROWS_PER_BATCH]
        before = _verdicts(session, batch, period.since, verdict_states.c.valid_to <= period.until)
        after = _verdicts(session, batch, period.until, verdict_states.c.valid_from > period.since)
        badge_before, badge_after = (_badges(session, batch, at) for at in (period.since, period.until))
        for key in batch:
            change = ComplianceChange(
                key, badge_before.get(key), badge_after.get(key), _differences(before.get(key, {}), after.get(key, {}))
            )
            if change.verdicts or change.badge_before != change.badge_after:
                yield change


def changes_within(session: TenantSession, period: Period) -> dict[Key, int]:
    """Return how many states of records, verdicts and badges began within a period, by version, sorted by key.

    Unlike a net difference, the number includes changes that were reversed before the end.
    """
    begun = union_all(
        *(
            select(states.c.model_name, states.c.version_number).where(
                states.c.tenant_id == session.tenant_id,
                states.c.valid_from > to_utc(period.since),
                states.c.valid_from <= to_utc(period.until),
                *_is_within(states, period),
            )
            for states in (record_states, verdict_states, badge_states)
        )
    ).subquery()
    query = select(begun.c.model_name, begun.c.version_number, func.count()).group_by(
        begun.c.model_name, begun.c.version_number
    )
    return {(name, number): count for name, number, count in sorted(session.execute(query))}


_Verdicts: TypeAlias = Mapping[str, tuple[str, str]]
"""Rule ID to the verdict and its reason."""


def _differences(before: _Verdicts, after: _Verdicts) -> tuple[VerdictChange, ...]:
    changes = []
    for rule_id in sorted({*before, *after}):
        was, _ = before.get(rule_id, (None, None))
        became, reason = after.get(rule_id, (None, None))
        if was != became:
            changes.append(VerdictChange(rule_id, was, became, reason))
    return tuple(changes)


def _versions_with_changes(session: TenantSession, period: Period) -> list[Key]:
    """Return the versions with a state that began or ended after the start.

    Some of these versions may have equal states at the start and at the end.
    """
    since = literal(to_utc(period.since), DateTime(timezone=True))
    changed = union(
        *(
            select(table.c.model_name, table.c.version_number).where(
                table.c.tenant_id == session.tenant_id, condition, *_is_within(table, period)
            )
            for table, condition in (
                (version_verdicts, since < any_(version_verdicts.c.evaluated_at)),
                (version_verdict_history, version_verdict_history.c.valid_to > since),
                (compliance_badges, compliance_badges.c.changed_at > since),
                (compliance_badge_history, compliance_badge_history.c.valid_to > since),
            )
        )
    )
    return sorted((name, number) for name, number in session.execute(changed))


def _is_within(table: TableClause, period: Period) -> Iterator[ColumnElement[bool]]:
    if period.model_name is not None:
        yield table.c.model_name == period.model_name
    if period.version_number is not None:
        yield table.c.version_number == period.version_number


def _verdicts(
    session: TenantSession, keys: Sequence[Key], at: datetime, is_changed: ColumnElement[bool]
) -> Mapping[Key, _Verdicts]:
    """Return the verdicts at a given time.

    ``is_changed`` leaves out the many verdicts that did not change during the period.
    """
    verdicts: defaultdict[Key, dict[str, tuple[str, str]]] = defaultdict(dict)
    query = of_versions(session, verdict_states, keys, *valid_at(verdict_states, at), is_changed)
    names = ("model_name", "version_number", "rule_id", "verdict", "reason")
    query = query.with_only_columns(*(query.selected_columns[name] for name in names))
    for name, number, rule_id, verdict, reason in session.execute(query):
        verdicts[name, number][rule_id] = (verdict, reason)
    return verdicts


def _badges(session: TenantSession, keys: Sequence[Key], at: datetime) -> Mapping[Key, str]:
    rows = session.execute(of_versions(session, badge_states, keys, *valid_at(badge_states, at))).mappings()
    return {(row["model_name"], row["version_number"]): row["badge"] for row in rows}
