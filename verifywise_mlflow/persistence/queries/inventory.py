"""Versions with the columns of the inventory, and models without versions.

Rows come through a server-side cursor, since a tenant may have a hundred thousand versions.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ARRAY, ColumnElement, CursorResult, Select, and_, cast, func, select, type_coerce
from sqlalchemy import Text as PlainText

from verifywise_mlflow.compliance.verdict import Verdict
from verifywise_mlflow.persistence.pg_text_codec import Text
from verifywise_mlflow.persistence.queries.agents import is_agent_of
from verifywise_mlflow.persistence.queries.version_filter import (
    ROWS_PER_FETCH,
    VersionFilter,
    flavors,
    is_any_of,
    matches_glob,
    version_conditions,
)
from verifywise_mlflow.persistence.row_mapping import same_version
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import (
    agents,
    canonical_records,
    compliance_badges,
    registered_models,
    version_verdicts,
)


@dataclass(frozen=True, slots=True)
class InventorySelection:
    """Which versions to read. ``None`` does not narrow the selection."""

    versions: VersionFilter
    models: Collection[str] | None = None
    """Only versions of these models."""
    applied_rules: Collection[str] | None = None
    """Only versions to which one of these rules applies."""


class ListedVersion(NamedTuple):
    """A version, as the inventory lists it."""

    model_name: str
    version_number: int
    lifecycle_stage: str | None
    aliases: Sequence[str] | None
    deployment_status: str | None
    owner: str | None
    business_purpose: str | None
    risk_category: str | None
    badge: str | None
    badge_since: datetime | None
    libraries: Sequence[str]
    agent: str | None
    created_at: datetime | None
    last_trained_at: datetime | None
    last_changed_at: datetime
    is_incomplete: bool
    deleted_at: datetime | None


class ListedModel(NamedTuple):
    """A model without versions."""

    model_name: str
    created_at: datetime | None
    changed_at: datetime
    deleted_at: datetime | None


def listed_versions(session: TenantSession, selection: InventorySelection) -> Iterator[ListedVersion]:
    """Yield versions, sorted by model; of each model, the highest number first."""
    records, badges = canonical_records.c, compliance_badges.c
    query = (
        select(
            records.model_name,
            records.version_number,
            records.lifecycle_stage,
            records.aliases,
            records.deployment_status,
            records.owner,
            records.business_purpose,
            records.risk_category,
            badges.badge,
            badges.changed_at,
            cast(flavors(), ARRAY(Text)),
            type_coerce(func.coalesce(agents.c.name, agents.c.model_id), Text),
            records.created_at,
            func.coalesce(records.training_ended_at, records.training_started_at),
            records.changed_at,
            records.incomplete != [],
            records.deleted_at,
        )
        .select_from(
            canonical_records.outerjoin(
                compliance_badges, same_version(compliance_badges, canonical_records)
            ).outerjoin(agents, is_agent_of(canonical_records))
        )
        .where(records.tenant_id == session.tenant_id, *version_conditions(selection.versions))
        .order_by(records.model_name, records.version_number.desc())
    )
    if selection.models is not None:
        query = query.where(is_any_of(records.model_name, selection.models))
    if selection.applied_rules is not None:
        query = query.where(_applies(selection.applied_rules))
    for row in _streamed(session, query):
        yield ListedVersion._make(row)


def models_without_versions(session: TenantSession, selection: InventorySelection) -> Iterator[ListedModel]:
    """Yield the models without a version to list, sorted by name; no model if the selection is about versions."""
    wanted = selection.versions
    if wanted.is_about_versions or selection.applied_rules is not None:
        return
    models, records = registered_models.c, canonical_records.c
    of_model = and_(records.tenant_id == models.tenant_id, records.model_name == models.model_name)
    conditions = [models.tenant_id == session.tenant_id]
    if not wanted.includes_deleted:
        of_model = and_(of_model, records.deleted_at.is_(None))
        conditions.append(models.deleted_at.is_(None))
    if wanted.models:
        conditions.append(matches_glob(models.model_name, wanted.models))
    if selection.models is not None:
        conditions.append(is_any_of(models.model_name, selection.models))
    query = (
        select(models.model_name, models.created_at, models.changed_at, models.deleted_at)
        .where(*conditions, ~select(records.version_number).where(of_model).exists())
        .order_by(models.model_name)
    )
    for row in _streamed(session, query):
        yield ListedModel._make(row)


def _applies(rule_ids: Collection[str]) -> ColumnElement[bool]:
    verdicts = version_verdicts
    given = (
        func.unnest(verdicts.c.rule_ids, verdicts.c.verdicts)
        .table_valued("rule_id", "verdict", joins_implicitly=True)
        .render_derived(name="given")
    )
    return (
        select(1)
        .select_from(verdicts, given)
        .where(
            same_version(verdicts, canonical_records),
            is_any_of(given.c.rule_id, rule_ids),
            cast(given.c.verdict, PlainText) != Verdict.NOT_APPLICABLE.value,
        )
        .correlate(canonical_records)
        .exists()
    )


def _streamed(session: TenantSession, query: Select[Any]) -> CursorResult[Any]:  # Any: as SQLAlchemy types many columns
    return session.execute(query.execution_options(yield_per=ROWS_PER_FETCH))
