"""What is kept, as pandas frames, for notebooks and exports: as it is, as it was, and what changed.

Times are UTC and have a zone; one without is refused with a ``ValueError``. Everything is read through SQLAlchemy
rather than with read_sql, so that texts and JSON come as the columns' types give them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from datetime import UTC, datetime

import pandas as pd
from sqlalchemy import ColumnElement, FromClause, select

from verifywise_mlflow.normalizer.record import FIELDS
from verifywise_mlflow.persistence.queries import history
from verifywise_mlflow.persistence.queries.history import Period, RecordTransition, net_record_changes, record_changes
from verifywise_mlflow.persistence.queries.record_diff import differences
from verifywise_mlflow.persistence.repositories import lifecycle, waivers
from verifywise_mlflow.persistence.repositories.lifecycle import LifecycleEvent
from verifywise_mlflow.persistence.repositories.verdict_bulk_writer import OPEN_VERDICTS
from verifywise_mlflow.persistence.row_mapping import columns_of
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.persistence.tables import canonical_records, compliance_results

_VERSION = ["model_name", "version_number"]
_RECORD = [*FIELDS, "incomplete", "findings"]
_VERDICT = [*_VERSION, "rule_id", "verdict", "reason", "policy_version"]
_SPAN = ["valid_from", "sync_id", "valid_to", "ended_by_sync_id"]


def records(store: Store, tenant_id: str) -> pd.DataFrame:
    """Return the canonical records of a tenant's living versions: a row a version, a column a field."""
    living = canonical_records.c.deleted_at.is_(None)
    return _frame(store, tenant_id, canonical_records, _RECORD, _VERSION, living)


def verdicts(store: Store, tenant_id: str) -> pd.DataFrame:
    """Return the verdicts on a tenant's living versions: a row a version and rule.

    ``evaluated_at`` and ``policy_version`` tell since when a verdict has been this one; ``waived``, who accepts the gap
    now, until when and why.
    """
    columns = [*_VERDICT, "evaluated_at"]
    judged = _frame(store, tenant_id, compliance_results, columns, [*_VERSION, "rule_id"])
    return _with_waivers(store, tenant_id, judged.merge(records(store, tenant_id)[_VERSION]), datetime.now(UTC))


def records_as_of(store: Store, tenant_id: str, at: datetime) -> pd.DataFrame:
    """Return the canonical records of the versions that lived at a time, as they were then, with their spans."""
    states = history.record_states
    wanted = (*history.valid_at(states, at), states.c.deleted_at.is_(None))
    return _frame(store, tenant_id, states, [*_RECORD, *_SPAN], _VERSION, *wanted)


def verdicts_as_of(store: Store, tenant_id: str, at: datetime) -> pd.DataFrame:
    """Return the verdicts on the versions that lived at a time, as they were then, with their spans."""
    states = history.verdict_states
    order = [*_VERSION, "rule_id"]
    judged = _frame(store, tenant_id, states, [*_VERDICT, *_SPAN], order, *history.valid_at(states, at))
    records = history.record_states
    wanted = (*history.valid_at(records, at), records.c.deleted_at.is_(None))
    living = judged.merge(_frame(store, tenant_id, records, _VERSION, _VERSION, *wanted))
    return _with_waivers(store, tenant_id, living, at)


def _with_waivers(store: Store, tenant_id: str, judged: pd.DataFrame, at: datetime) -> pd.DataFrame:
    """Return verdicts with who accepted which gap at a time. The verdicts stay what they are."""
    with store.begin(tenant_id) as session:
        held = [one.waiver for one in waivers.waivers_in_force(session, at)]
    of_rule = {one.rule: [other for other in held if other.rule == one.rule] for one in held}

    def accepted(rule_id: str, verdict: str, name: str, number: int) -> str | None:
        covering = (
            one for one in of_rule.get(rule_id, ()) if verdict in OPEN_VERDICTS and one.covers(rule_id, name, number)
        )
        return "; ".join(one.sentence for one in covering) or None

    columns = [judged[name] for name in ("rule_id", "verdict", *_VERSION)]
    return judged.assign(waived=pd.Series([accepted(*row) for row in zip(*columns, strict=True)], dtype=object))


def record_states(store: Store, tenant_id: str, model: str, version: int) -> pd.DataFrame:
    """Return all states of a version's record, the oldest first: a row a state, with its span and its tombstone."""
    states = history.record_states
    wanted = (states.c.model_name == model, states.c.version_number == version)
    return _frame(store, tenant_id, states, [*_RECORD, "deleted_at", *_SPAN], ["revision"], *wanted)


def record_changes(
    store: Store, tenant_id: str, since: datetime, until: datetime, model: str | None = None, version: int | None = None
) -> pd.DataFrame:
    """Return each change of a record after ``since``, up to and with ``until``: a row a field and change.

    What changed and changed back is two rows. ``changed_at`` is when our sync saw it.
    """
    return _differences(store, tenant_id, Period(since, until, model, version), record_changes)


def record_differences(
    store: Store,
    tenant_id: str,
    before: datetime,
    after: datetime,
    model: str | None = None,
    version: int | None = None,
) -> pd.DataFrame:
    """Return what differs between the records as they were at two times: a row a field, whatever lay in between.

    ``changed_at`` and ``sync_id`` are those of the record's last change.
    """
    return _differences(store, tenant_id, Period(before, after, model, version), net_record_changes)


def lifecycle_events(
    store: Store,
    tenant_id: str,
    model_name: str | None = None,
    version_number: int | None = None,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
) -> pd.DataFrame:
    """Return what became of models and versions, in the order in which it was seen: a row an event.

    Of a version also the aliases that came to it or left it. ``since`` belongs to the span, ``until`` does not.
    """
    with store.begin(tenant_id) as session:
        found = lifecycle.lifecycle_events_of(session, model_name, version_number, since=since, until=until)
    told = [{**columns_of(one.event), "seen_at": one.seen_at, "sync_id": one.sync_id} for one in found]
    columns = [*(field.name for field in fields(LifecycleEvent)), "seen_at", "sync_id"]
    return pd.DataFrame(told, columns=columns).astype({"version_number": "Int64"})


def _differences(
    store: Store, tenant_id: str, period: Period, steps: Callable[[TenantSession, Period], Iterator[RecordTransition]]
) -> pd.DataFrame:
    with store.begin(tenant_id) as session:
        rows = [
            (
                *after.key,
                difference.field,
                difference.before,
                difference.after,
                after.span.valid_from,
                after.span.sync_id,
            )
            for before, after in steps(session, period)
            for difference in differences(before, after)
        ]
    return pd.DataFrame(rows, columns=[*_VERSION, "field", "before", "after", "changed_at", "sync_id"])


def _frame(
    store: Store,
    tenant_id: str,
    source: FromClause,
    columns: Sequence[str],
    order: Sequence[str],
    *wanted: ColumnElement[bool],
) -> pd.DataFrame:
    query = select(*(source.c[name] for name in columns)).where(source.c.tenant_id == tenant_id, *wanted)
    with store.begin(tenant_id) as session:
        found = session.execute(query.order_by(*(source.c[name] for name in order))).mappings()
        return pd.DataFrame([dict(row) for row in found], columns=list(columns))
