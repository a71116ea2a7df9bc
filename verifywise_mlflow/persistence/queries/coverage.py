"""Coverage of the frameworks' clauses by a tenant's living versions. The database counts the verdicts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydantic import BaseModel
from sqlalchemy import func, select

from verifywise_mlflow.compliance.coverage import (
    FrameworkCoverage,
    References,
    VerdictGroup,
    framework_coverage,
)
from verifywise_mlflow.compliance.frameworks import Framework
from verifywise_mlflow.persistence.pg_text_codec import Json
from verifywise_mlflow.persistence.repositories import config_versions
from verifywise_mlflow.persistence.row_mapping import same_version
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.persistence.tables import canonical_records, compliance_results


def verdict_groups(session: TenantSession) -> Iterator[VerdictGroup]:
    """Yield the tenant's living versions, grouped by equal verdicts.

    Many versions make few groups. They are fetched in pages nevertheless, since nothing limits their number.
    """
    records, results = canonical_records, compliance_results
    is_same_version = same_version(results, records)
    verdicts = func.jsonb_object_agg(results.c.rule_id, results.c.verdict, type_=Json).filter(
        results.c.rule_id.is_not(None)
    )
    versions = (
        select(verdicts.label("verdicts"))
        .select_from(records.outerjoin(results, is_same_version))
        .where(records.c.tenant_id == session.tenant_id, records.c.deleted_at.is_(None))
        .group_by(records.c.model_name, records.c.version_number)
        .subquery()
    )
    query = select(versions.c.verdicts, func.count()).group_by(versions.c.verdicts)
    for verdicts_by_rule, count in session.execute(query.execution_options(yield_per=1_000)):
        yield VerdictGroup(verdicts_by_rule or {}, count)


class _Reference(BaseModel):
    framework: str
    clause: str


class _Rule(BaseModel):
    references: tuple[_Reference, ...]


class _Policy(BaseModel):
    rules: dict[str, _Rule]


class _Document(BaseModel):
    """The references of a stored version of the policies."""

    policies: dict[str, _Policy]


def current_references(session: TenantSession) -> References | None:
    """Return the references of the rules that last evaluated the tenant; None before the first evaluation.

    They come from the store, so that a reader of the store sees them as they were, even if the files changed.
    """
    current = config_versions.config_version(session, "policy")
    if current is None:
        return None
    document = _Document.model_validate(current.document)
    return {
        rule_id: {(reference.framework, reference.clause) for reference in rule.references}
        for policy in document.policies.values()
        for rule_id, rule in sorted(policy.rules.items())  # JSON in Postgres keeps no order
    }


def coverage_of(store: Store, tenant_id: str, frameworks: Sequence[Framework]) -> tuple[FrameworkCoverage, ...]:
    """Return how the tenant's living versions cover each clause, according to the stored verdicts."""
    with store.begin(tenant_id) as session:
        references = current_references(session)
        return framework_coverage(frameworks, references or {}, verdict_groups(session))
