"""How verdicts and badges changed between two times: the net difference, version by version."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, CursorResult, DateTime, TableClause, any_, literal, select, true, union

from verifywise_mlflow.persistence.queries.history import Period, badge_states, to_utc, valid_at, verdict_states
from verifywise_mlflow.persistence.row_mapping import BATCH_SIZE, Key, key_rows
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
    """None if it is no longer evaluated."""
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
    """Sorted by rule. Verdicts that changed in between and back again are not among them."""


def net_compliance_changes(session: TenantSession, period: Period) -> Iterator[ComplianceChange]:
    """Yield the versions whose badge or verdicts differ between the start and the end of a period, sorted by key."""
    keys = _versions_with_changes(session, period)
    for start in range(0, len(keys), BATCH_SIZE):
        batch = keys[start : start + BATCH_SIZE]
        before, after = (_verdicts_at(session, batch, at) for at in (period.since, period.until))
        badge_before, badge_after = (_badges_at(session, batch, at) for at in (period.since, period.until))
        for key in batch:
            change = ComplianceChange(
                key, badge_before.get(key), badge_after.get(key), _differences(before.get(key, {}), after.get(key, {}))
            )
            if change.verdicts or change.badge_before != change.badge_after:
                yield change


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
    """Return the versions with a state that began or ended after the start: some of them may not differ."""
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


def _verdicts_at(session: TenantSession, keys: Sequence[Key], at: datetime) -> Mapping[Key, _Verdicts]:
    verdicts: defaultdict[Key, dict[str, tuple[str, str]]] = defaultdict(dict)
    rows = _states_at(session, verdict_states, keys, at, ("rule_id", "verdict", "reason"))
    for name, number, rule_id, verdict, reason in rows:
        verdicts[name, number][rule_id] = (verdict, reason)
    return verdicts


def _badges_at(session: TenantSession, keys: Sequence[Key], at: datetime) -> Mapping[Key, str]:
    return {(name, number): badge for name, number, badge in _states_at(session, badge_states, keys, at, ("badge",))}


def _states_at(
    session: TenantSession, states: TableClause, keys: Collection[Key], at: datetime, columns: Sequence[str]
) -> CursorResult[Any]:
    wanted = key_rows(keys)
    found = (
        select(*(states.c[name] for name in ("model_name", "version_number", *columns)))
        .where(
            states.c.tenant_id == session.tenant_id,
            states.c.model_name == wanted.c.model_name,
            states.c.version_number == wanted.c.version_number,
            *valid_at(states, at),
        )
        .offset(0)  # Postgres runs a subquery with an offset for each key, and does not join it in another way
        .lateral("of_version")
    )
    return session.execute(select(*found.c).select_from(wanted.join(found, true())))
