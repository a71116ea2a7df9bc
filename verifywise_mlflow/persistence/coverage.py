"""How a tenant's living versions were judged, counted by the database, and what that shows of each clause."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd
from sqlalchemy import and_, func, select

from verifywise_mlflow.compliance.coverage import FrameworkCoverage, JudgedAlike, Standing, coverage
from verifywise_mlflow.compliance.frameworks import Framework
from verifywise_mlflow.compliance.rules import Rule
from verifywise_mlflow.persistence.codec import Json
from verifywise_mlflow.persistence.store import Connection, Store
from verifywise_mlflow.persistence.tables import canonical_records, compliance_results


def judged_alike(connection: Connection, tenant_id: str) -> Iterator[JudgedAlike]:
    """Yield the tenant's living versions, those together whose rules gave the same verdicts.

    There are few such groups where there are many versions. They come in pieces all the same: nothing bounds them.
    """
    records, results = canonical_records, compliance_results
    of_version = and_(
        results.c.tenant_id == records.c.tenant_id,
        results.c.model_name == records.c.model_name,
        results.c.version_number == records.c.version_number,
    )
    verdicts = func.jsonb_object_agg(results.c.rule_id, results.c.verdict, type_=Json).filter(
        results.c.rule_id.is_not(None)
    )
    versions = (
        select(verdicts.label("verdicts"))
        .select_from(records.outerjoin(results, of_version))
        .where(records.c.tenant_id == tenant_id, records.c.gone_at.is_(None))
        .group_by(records.c.model_name, records.c.version_number)
        .subquery()
    )
    query = select(versions.c.verdicts, func.count()).group_by(versions.c.verdicts)
    for given, count in connection.execute(query.execution_options(yield_per=1_000)):
        yield JudgedAlike(given or {}, count)


def coverage_of(
    store: Store, tenant_id: str, frameworks: Sequence[Framework], rules: Sequence[Rule]
) -> tuple[FrameworkCoverage, ...]:
    """Return what the tenant's living versions show of each clause, by the verdicts that are kept."""
    with store.begin(tenant_id) as connection:
        return coverage(frameworks, rules, judged_alike(connection, tenant_id))


def coverage_frame(
    store: Store, tenant_id: str, frameworks: Sequence[Framework], rules: Sequence[Rule]
) -> pd.DataFrame:
    """Return the same as a pandas frame: a row a clause, a column for each way in which versions can stand to it."""
    rows = [
        {
            "framework": covered.framework.name,
            "clause": one.clause.id,
            "about": one.clause.about,
            "obtainable": one.clause.obtainable.value,
            "blank": one.clause.blank,
            "confidence": one.clause.confidence,
            "applicable_from": one.applicable_from,
            "state": one.state.value,
            "rules": list(one.rules),
            "versions": covered.versions,
            **{standing.value.replace(" ", "_"): one.versions[standing] for standing in Standing},
        }
        for covered in coverage_of(store, tenant_id, frameworks, rules)
        for one in covered.clauses
    ]
    return pd.DataFrame(rows)
