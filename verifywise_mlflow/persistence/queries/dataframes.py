"""Stored data as pandas data frames, for notebooks and exports: current states, states as of a given time, and changes.

Times are UTC and time-zone aware; a naive time raises ``ValueError``. Rows are read through SQLAlchemy rather than
``read_sql``, so that the column types decode texts and JSON.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, FromClause, select

from verifywise_mlflow.compliance.coverage import VersionEvidence
from verifywise_mlflow.compliance.frameworks import Framework
from verifywise_mlflow.normalizer.lifecycle_event import LifecycleEvent
from verifywise_mlflow.normalizer.record import FIELDS
from verifywise_mlflow.persistence.queries import history
from verifywise_mlflow.persistence.queries.coverage import coverage_of
from verifywise_mlflow.persistence.repositories import waivers
from verifywise_mlflow.persistence.repositories.lifecycle_events import lifecycle_events_of
from verifywise_mlflow.persistence.repositories.verdict_bulk_writer import OPEN_VERDICTS
from verifywise_mlflow.persistence.row_mapping import columns_of
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.persistence.tables import canonical_records, compliance_results

try:
    import pandas as pd
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "data frames need pandas, which is not installed: pip install 'verifywise-mlflow[pandas]'", name=error.name
    ) from None

_VERSION = ["model_name", "version_number"]
_RECORD = [*FIELDS, "incomplete", "findings"]
_VERDICT = [*_VERSION, "rule_id", "verdict", "reason", "policy_version"]
_VALIDITY = ["valid_from", "sync_id", "valid_to", "ended_by_sync_id"]


def records(store: Store, tenant_id: str) -> pd.DataFrame:
    """Return the canonical records of a tenant's living versions: one row per version.

    The columns are the fields of the record, ``incomplete`` and ``findings``.
    """
    living = canonical_records.c.deleted_at.is_(None)
    return _frame(store, tenant_id, canonical_records, _RECORD, _VERSION, living)


def verdicts(store: Store, tenant_id: str) -> pd.DataFrame:
    """Return the verdicts on a tenant's living versions: one row per version and rule.

    ``evaluated_at`` and ``policy_version`` state since when the verdict has been the same. ``waived`` states who
    accepts the gap now, until when and why.
    """
    columns = [*_VERDICT, "evaluated_at"]
    judged = _frame(store, tenant_id, compliance_results, columns, [*_VERSION, "rule_id"])
    return _with_waivers(store, tenant_id, judged.merge(records(store, tenant_id)[_VERSION]), datetime.now(UTC))


def records_as_of(store: Store, tenant_id: str, at: datetime) -> pd.DataFrame:
    """Return the canonical records of the versions that existed at a given time, in their state at that time.

    Each row has the validity of its state.
    """
    states = history.record_states
    conditions = (*history.valid_at(states, at), states.c.deleted_at.is_(None))
    return _frame(store, tenant_id, states, [*_RECORD, *_VALIDITY], _VERSION, *conditions)


def verdicts_as_of(store: Store, tenant_id: str, at: datetime) -> pd.DataFrame:
    """Return the verdicts on the versions that existed at a given time, as of that time, with their validity."""
    states = history.verdict_states
    order = [*_VERSION, "rule_id"]
    judged = _frame(store, tenant_id, states, [*_VERDICT, *_VALIDITY], order, *history.valid_at(states, at))
    records = history.record_states
    conditions = (*history.valid_at(records, at), records.c.deleted_at.is_(None))
    living = judged.merge(_frame(store, tenant_id, records, _VERSION, _VERSION, *conditions))
    return _with_waivers(store, tenant_id, living, at)


def framework_coverage(store: Store, tenant_id: str, frameworks: Sequence[Framework]) -> pd.DataFrame:
    """Return the coverage as a pandas data frame: one row per clause, one column per standing of a version."""
    rows = [
        {
            "framework": covered.framework.name,
            "clause": clause_coverage.clause.id,
            "about": clause_coverage.clause.about,
            "obtainable": clause_coverage.clause.obtainable.value,
            "blank": clause_coverage.clause.blank,
            "confidence": clause_coverage.clause.confidence,
            "applicable_from": application.applicable_from if application else None,
            "date_source": application.cited_source if application else None,
            "state": clause_coverage.state.value,
            "rules": list(clause_coverage.rules),
            "versions": covered.version_count,
            "archived_versions": covered.archived_count,
            **{
                standing.value.replace(" ", "_"): clause_coverage.version_counts[standing]
                for standing in VersionEvidence
            },
        }
        for covered in coverage_of(store, tenant_id, frameworks)
        for clause_coverage in covered.clauses
        for application in [clause_coverage.application]
    ]
    return pd.DataFrame(rows)


def _with_waivers(store: Store, tenant_id: str, judged: pd.DataFrame, at: datetime) -> pd.DataFrame:
    """Add a column with the waivers that cover each gap at a given time, as texts. The verdicts are unchanged."""
    with store.begin(tenant_id) as session:
        active = [stored.waiver for stored in waivers.waivers_in_force(session, at)]
    by_rule = {waiver.rule: [other for other in active if other.rule == waiver.rule] for waiver in active}

    def accepted(rule_id: str, verdict: str, name: str, number: int) -> str | None:
        if verdict not in OPEN_VERDICTS:
            return None
        covering = (waiver for waiver in by_rule.get(rule_id, ()) if waiver.covers(rule_id, name, number))
        return "; ".join(waiver.sentence for waiver in covering) or None

    columns = [judged[name] for name in ("rule_id", "verdict", *_VERSION)]
    return judged.assign(waived=pd.Series([accepted(*row) for row in zip(*columns, strict=True)], dtype=object))


def lifecycle_events(
    store: Store,
    tenant_id: str,
    model_name: str | None = None,
    version_number: int | None = None,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
) -> pd.DataFrame:
    """Return the lifecycle events of models and versions, in the order in which they were seen: one row per event.

    Events of a version include the aliases that were moved to it or away from it. The interval is ``[since, until)``.
    """
    start, end = (None if time is None else history.to_utc(time) for time in (since, until))
    with store.begin(tenant_id) as session:
        recorded = lifecycle_events_of(session, model_name, version_number, since=start, until=end)
    rows = [{**columns_of(item.event), "seen_at": item.seen_at, "sync_id": item.sync_id} for item in recorded]
    columns = [*(field.name for field in fields(LifecycleEvent)), "seen_at", "sync_id"]
    return pd.DataFrame(rows, columns=columns).astype({"version_number": "Int64"})


def _frame(
    store: Store,
    tenant_id: str,
    source: FromClause,
    columns: Sequence[str],
    order: Sequence[str],
    *conditions: ColumnElement[bool],
) -> pd.DataFrame:
    query = select(*(source.c[name] for name in columns)).where(source.c.tenant_id == tenant_id, *conditions)
    with store.begin(tenant_id) as session:
        rows = session.execute(query.order_by(*(source.c[name] for name in order))).mappings()
        return pd.DataFrame([dict(row) for row in rows], columns=list(columns))
