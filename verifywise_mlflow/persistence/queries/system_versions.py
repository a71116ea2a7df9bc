"""Reads the data for grouping models into AI systems: a tag, and a few columns of each living version."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, and_, case, func, or_, select, text, true

from verifywise_mlflow.compliance.ai_systems import MAX_NAME_CHARACTERS
from verifywise_mlflow.compliance.badge import Badge
from verifywise_mlflow.compliance.rules.versions_in_use import PRODUCTION, STAGES_IN_USE
from verifywise_mlflow.normalizer.record import STATUSES_IN_USE
from verifywise_mlflow.persistence.queries.history import record_states, valid_at
from verifywise_mlflow.persistence.repositories.verdict_bulk_writer import OPEN_VERDICTS
from verifywise_mlflow.persistence.repositories.versions_in_use import is_in_use
from verifywise_mlflow.persistence.repositories.waivers import is_waived, waivers_in_force
from verifywise_mlflow.persistence.row_mapping import Key, same_version
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import canonical_records, compliance_badges, compliance_verdicts

ARCHIVED: Final = "archived"


@dataclass(frozen=True, slots=True)
class SystemVersion:
    """The columns of a living version that AI systems need."""

    model_name: str
    version_number: int
    lifecycle_stage: str | None
    deployment_status: str | None
    system_name: str | None
    """The system that the version's tags name, as written; None if the tags name no system, or if the text is too long
    for a name."""
    risk_category: str | None
    badge: Badge | None
    """None if the version was not evaluated yet."""

    @property
    def is_in_use(self) -> bool:
        """Whether the version is in production or staging, or deployed at least in part."""
        return self.lifecycle_stage in STAGES_IN_USE or self.deployment_status in STATUSES_IN_USE


def system_tags(session: TenantSession) -> Mapping[str, str | None]:
    """Return, for each model with a living version, the system that its tags name, by model name.

    Among the versions that name a system, the newest version in production decides. Without such a version, the newest
    version in use decides, then the newest version that is not archived, then the newest archived version.
    """
    records = canonical_records
    rank = case(
        (records.c.lifecycle_stage == PRODUCTION, 0),
        (is_in_use(records), 1),
        (records.c.lifecycle_stage == ARCHIVED, 3),
        else_=2,
    )
    query = (
        select(records.c.model_name, _system_name())
        .where(records.c.tenant_id == session.tenant_id, records.c.deleted_at.is_(None))
        .distinct(records.c.model_name)
        .order_by(records.c.model_name, _system_name().is_(None), rank, records.c.version_number.desc())
    )
    return dict(session.execute(query).tuples().all())


def system_versions(session: TenantSession) -> list[SystemVersion]:
    """Return all living versions, sorted by model; of each model, the highest number first."""
    records, badges = canonical_records, compliance_badges
    is_unread = and_(text("incomplete <> '[]'::jsonb"), badges.c.badge != Badge.FAILING.value)
    query = (
        select(
            records.c.model_name,
            records.c.version_number,
            records.c.lifecycle_stage,
            records.c.deployment_status,
            _system_name(),
            records.c.risk_category,
            case((is_unread, Badge.INCOMPLETE.value), else_=badges.c.badge),
        )
        .select_from(records.outerjoin(badges, same_version(badges, records)))
        .where(records.c.tenant_id == session.tenant_id, records.c.deleted_at.is_(None))
        .order_by(records.c.model_name, records.c.version_number.desc())
    )
    return [
        SystemVersion(model, number, stage, status, system, risk, Badge(badge) if badge else None)
        for model, number, stage, status, system, risk, badge in session.execute(query)
    ]


@dataclass(frozen=True, slots=True)
class VersionInUse:
    """A version that was in use or had an alias at a given time."""

    model_name: str
    version_number: int
    in_use_as: tuple[str, ...]
    """``production`` or ``staging``, ``deployed`` or ``partly deployed``, and ``alias NAME``."""


def versions_in_use(session: TenantSession, models: Collection[str], at: datetime) -> list[VersionInUse]:
    """Return the versions of some models that were in use or had an alias at a given time, by model, newest first.

    Raises:
        ValueError: the time is naive.
    """
    states = record_states.c
    rows = session.execute(
        select(
            states.model_name,
            states.version_number,
            states.lifecycle_stage,
            states.deployment_status,
            states.aliases,
        )
        .where(
            states.tenant_id == session.tenant_id,
            states.model_name.in_(models),
            states.deleted_at.is_(None),
            or_(is_in_use(record_states), states.aliases != []),
            *valid_at(record_states, at),
        )
        .order_by(states.model_name, states.version_number.desc())
    )
    return [
        VersionInUse(
            model,
            number,
            (
                *(stage for stage in STAGES_IN_USE if stage == shown_stage),
                *(status.replace("_", " ") for status in STATUSES_IN_USE if status == shown_status),
                *(f"alias {alias}" for alias in aliases or ()),
            ),
        )
        for model, number, shown_stage, shown_status, aliases in rows
    ]


@dataclass(frozen=True, slots=True)
class EarlierVersion:
    """A version of the same model with a lower number."""

    version_number: int
    created_at: datetime | None
    lifecycle_stage: str | None


def earlier_versions(session: TenantSession, key: Key, at: datetime, limit: int = 20) -> list[EarlierVersion]:
    """Return the earlier versions of a model that MLflow had at a given time, newest first, at most ``limit``.

    Raises:
        ValueError: the time is naive.
    """
    states = record_states.c
    rows = session.execute(
        select(states.version_number, states.created_at, states.lifecycle_stage)
        .where(
            states.tenant_id == session.tenant_id,
            states.model_name == key[0],
            states.version_number < key[1],
            states.deleted_at.is_(None),
            *valid_at(record_states, at),
        )
        .order_by(states.version_number.desc())
        .limit(limit)
    )
    return [EarlierVersion(*row) for row in rows]


def open_gap_counts(session: TenantSession, at: datetime) -> Mapping[str, Mapping[str, int]]:
    """Return the numbers of open gaps of living versions that no waiver covers at a given time, by model and rule."""
    results, records = compliance_verdicts, canonical_records
    query = (
        select(results.c.model_name, results.c.rule_id, func.count())
        .select_from(results.join(records, same_version(records, results)))
        .where(
            results.c.tenant_id == session.tenant_id,
            results.c.verdict.in_(OPEN_VERDICTS),
            records.c.deleted_at.is_(None),
            ~is_waived(results, at) if waivers_in_force(session, at) else true(),
        )
        .group_by(results.c.model_name, results.c.rule_id)
    )
    counts: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for model, rule_id, count in session.execute(query):
        counts[model][rule_id] = count
    return counts


def _system_name() -> ColumnElement[str | None]:
    name = canonical_records.c.ai_system
    return case((func.length(name) <= MAX_NAME_CHARACTERS, name), else_=None)
