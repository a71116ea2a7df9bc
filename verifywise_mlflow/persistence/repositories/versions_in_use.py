"""The versions of each model that are in use, and a digest of them.

If the digest changes, these versions are evaluated again.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Integer,
    Select,
    Subquery,
    and_,
    case,
    cast,
    func,
    literal,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY, aggregate_order_by

from verifywise_mlflow.compliance.rules.versions_in_use import (
    DEPLOYED,
    MAX_LISTED,
    PRODUCTION,
    STAGES_IN_USE,
    VersionsInUse,
)
from verifywise_mlflow.normalizer.record import STATUSES_IN_USE
from verifywise_mlflow.persistence.pg_text_codec import Text
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import canonical_records

_SEPARATOR: Final = "/"


def is_in_use(records: FromClause) -> ColumnElement[bool]:
    """Return the condition that a record belongs to a living version in use. The partial index has this condition."""
    return and_(
        records.c.deleted_at.is_(None),
        or_(records.c.lifecycle_stage.in_(STAGES_IN_USE), records.c.deployment_status.in_(STATUSES_IN_USE)),
    )


def digests_by_model(tenant_id: str, first_model: str | None, models: Collection[str] | None = None) -> Subquery:
    """Return a query of the digest of each model's versions in use, from ``first_model`` on, for all or some models."""
    records = canonical_records
    version = func.concat_ws(
        _SEPARATOR, records.c.version_number, records.c.lifecycle_stage, records.c.deployment_status
    )
    query = (
        select(
            records.c.model_name,
            func.md5(func.string_agg(version, aggregate_order_by(literal(_SEPARATOR), records.c.version_number))).label(
                "digest"
            ),
        )
        .where(records.c.tenant_id == tenant_id, is_in_use(records))
        .group_by(records.c.model_name)
    )
    if first_model is not None:
        query = query.where(records.c.model_name >= first_model)
    if models is not None:
        query = query.where(records.c.model_name == func.any(cast([*models], ARRAY(Text))))
    return query.subquery("versions_in_use")


def keys_in_use(session: TenantSession, models: Collection[str]) -> list[Key]:
    """Return the versions of some models that are in use."""
    records = canonical_records
    rows = session.execute(
        select(records.c.model_name, records.c.version_number).where(
            records.c.tenant_id == session.tenant_id,
            records.c.model_name == func.any(cast([*models], ARRAY(Text))),
            is_in_use(records),
        )
    )
    return [(name, number) for name, number in rows]


def versions_in_use(session: TenantSession, models: Collection[str]) -> dict[str, VersionsInUse]:
    """Return the versions in use by model. Models without versions in use are left out."""
    records = canonical_records
    query = _grouped(records).where(
        records.c.tenant_id == session.tenant_id,
        records.c.model_name == func.any(cast([*models], ARRAY(Text))),
        is_in_use(records),
    )
    return _by_model(session, query)


def versions_in_use_at(session: TenantSession, model: str, at: datetime, states: FromClause) -> VersionsInUse | None:
    """Return the versions of a model that were in use at a given time; None if no version was in use.

    Args:
        session: the tenant's session.
        model: the model's name.
        at: the time, UTC.
        states: the view of all states of the records, with ``valid_from`` and ``valid_to``.
    """
    query = _grouped(states).where(
        states.c.tenant_id == session.tenant_id,
        states.c.model_name == model,
        states.c.valid_from <= at,
        or_(states.c.valid_to.is_(None), states.c.valid_to > at),
        is_in_use(states),
    )
    return _by_model(session, query).get(model)


def _grouped(records: FromClause) -> Select[Any]:
    in_production = or_(records.c.lifecycle_stage == PRODUCTION, records.c.deployment_status == DEPLOYED)
    production, candidates = (
        func.array_agg(aggregate_order_by(records.c.version_number, records.c.version_number.desc())).filter(condition)
        for condition in (in_production, in_production.isnot(True))
    )
    return select(
        records.c.model_name,
        _newest(production).label("production"),
        func.count(case((in_production, 1))).label("production_count"),
        _newest(candidates).label("candidates"),
    ).group_by(records.c.model_name)


def _newest(numbers: ColumnElement[Any]) -> ColumnElement[Any]:
    # A slice of a call needs parentheses, which SQLAlchemy does not render.
    surplus = func.greatest(func.cardinality(numbers) - MAX_LISTED, 0)
    return func.trim_array(numbers, surplus, type_=ARRAY(Integer))


def _by_model(session: TenantSession, query: Select[Any]) -> dict[str, VersionsInUse]:
    return {
        row.model_name: VersionsInUse(tuple(row.production or ()), row.production_count, tuple(row.candidates or ()))
        for row in session.execute(query)
    }
