"""When the records of a tenant begin. Before that time, MLflow may have had versions that nobody recorded."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select

from verifywise_mlflow.common.moments import utc_text
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import canonical_record_history, canonical_records


def records_begin(session: TenantSession) -> datetime | None:
    """Return when the tenant's first record was written; None before the first record."""
    # The tables are queried one by one: each has an index on the time, and the view over both tables has no index.
    firsts = [
        session.scalar(select(func.min(table.c.changed_at)).where(table.c.tenant_id == session.tenant_id))
        for table in (canonical_records, canonical_record_history)
    ]
    return min((first for first in firsts if first), default=None)


def describe_records_begin(session: TenantSession) -> str:
    """Return when the records begin, as the end of a sentence: ``nothing was recorded before …``."""
    begin = records_begin(session)
    return "nothing was ever recorded" if begin is None else f"nothing was recorded before {utc_text(begin)}"
