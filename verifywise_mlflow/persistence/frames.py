"""What is kept, as pandas frames, for notebooks and exports."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime

import pandas as pd
from sqlalchemy import Table, select

from verifywise_mlflow.normalizer.record import FIELDS
from verifywise_mlflow.persistence import lifecycle
from verifywise_mlflow.persistence.lifecycle import LifecycleEvent
from verifywise_mlflow.persistence.rows import columns_of
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.persistence.tables import canonical_records, compliance_results


def records(store: Store, tenant_id: str) -> pd.DataFrame:
    """Return the canonical records of a tenant's living versions: a row a version, a column a field."""
    return _frame(store, canonical_records, [*FIELDS, "incomplete", "findings"], tenant_id).sort_values(
        ["model_name", "version_number"], ignore_index=True
    )


def verdicts(store: Store, tenant_id: str) -> pd.DataFrame:
    """Return the verdicts on a tenant's living versions: a row a version and rule."""
    columns = ["model_name", "version_number", "rule_id", "verdict", "reason", "policy_version", "evaluated_at"]
    judged = _frame(store, compliance_results, columns, tenant_id)
    living = records(store, tenant_id)[["model_name", "version_number"]]
    return judged.merge(living).sort_values(["model_name", "version_number", "rule_id"], ignore_index=True)


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
    with store.begin(tenant_id) as connection:
        found = lifecycle.events_of(connection, tenant_id, model_name, version_number, since=since, until=until)
    told = [{**columns_of(one.event), "seen_at": one.seen_at, "sync_id": one.sync_id} for one in found]
    columns = [*(field.name for field in fields(LifecycleEvent)), "seen_at", "sync_id"]
    return pd.DataFrame(told, columns=columns).astype({"version_number": "Int64"})


def _frame(store: Store, table: Table, columns: list[str], tenant_id: str) -> pd.DataFrame:
    query = select(*(table.c[name] for name in columns)).where(table.c.tenant_id == tenant_id)
    if "gone_at" in table.c:
        query = query.where(table.c.gone_at.is_(None))
    with store.begin(tenant_id) as connection:
        # Through SQLAlchemy rather than read_sql, so that texts and JSON come as the columns' types give them.
        return pd.DataFrame([dict(row) for row in connection.execute(query).mappings()], columns=columns)
