"""The number of gaps in each waiver's scope. A waiver without gaps in its scope is probably misspelled."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import func, select

from verifywise_mlflow.persistence.repositories.verdict_bulk_writer import OPEN_VERDICTS
from verifywise_mlflow.persistence.repositories.waivers import is_in_scope
from verifywise_mlflow.persistence.row_mapping import same_version
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import canonical_records, compliance_verdicts, waivers


def gaps_by_waiver(session: TenantSession) -> Mapping[int, int]:
    """Return the number of open gaps in the scope of each waiver, in force or not. Waivers without gaps are missing."""
    results, records = compliance_verdicts, canonical_records
    counted = session.execute(
        select(waivers.c.waiver_id, func.count())
        .select_from(waivers.join(results, is_in_scope(results)).join(records, same_version(records, results)))
        .where(
            waivers.c.tenant_id == session.tenant_id,
            results.c.verdict.in_(OPEN_VERDICTS),
            records.c.deleted_at.is_(None),
        )
        .group_by(waivers.c.waiver_id)
    )
    return dict(counted.tuples().all())
