"""Coverage of the frameworks' clauses by a tenant's living versions. The database counts the verdicts.

Policies and a tenant's own frameworks are read from the store, as they were at the last evaluation. A reader of the
store has no tenants.yaml, and the files may have changed since that evaluation.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import BaseModel, ValidationError
from sqlalchemy import ColumnElement, FromClause, and_, false, func, select, true

from verifywise_mlflow.compliance.coverage import (
    FrameworkCoverage,
    References,
    VerdictGroup,
    framework_coverage,
)
from verifywise_mlflow.compliance.frameworks import Catalog, Framework, shipped_catalog
from verifywise_mlflow.persistence.database import DatabaseError
from verifywise_mlflow.persistence.pg_text_codec import Json
from verifywise_mlflow.persistence.queries.version_filter import is_any_of
from verifywise_mlflow.persistence.repositories import config_versions
from verifywise_mlflow.persistence.row_mapping import same_version
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.persistence.tables import canonical_records, compliance_verdicts


def verdict_groups(
    session: TenantSession, rule_ids: Collection[str] | None = None, models: Collection[str] | None = None
) -> Iterator[VerdictGroup]:
    """Yield living versions of some or all models, grouped by equal verdicts of some or all rules.

    Archived versions are in separate groups. Many versions usually make few groups. The groups are fetched in pages
    nevertheless, since nothing limits their number.
    """
    records, results = canonical_records, compliance_verdicts
    is_same_version = same_version(results, records)
    if rule_ids is not None:
        is_same_version = and_(is_same_version, results.c.rule_id.in_(rule_ids))
    verdicts = func.jsonb_object_agg(results.c.rule_id, results.c.verdict, type_=Json).filter(
        results.c.rule_id.is_not(None)
    )
    versions = (
        select(verdicts.label("verdicts"), is_archived(records).label("are_archived"))
        .select_from(records.outerjoin(results, is_same_version))
        .where(
            records.c.tenant_id == session.tenant_id,
            records.c.deleted_at.is_(None),
            is_any_of(records.c.model_name, models) if models is not None else true(),
        )
        .group_by(records.c.model_name, records.c.version_number, records.c.lifecycle_stage)
        .subquery()
    )
    group = (versions.c.verdicts, versions.c.are_archived)
    query = select(*group, func.count()).group_by(*group)
    for verdicts_by_rule, are_archived, count in session.execute(query.execution_options(yield_per=1_000)):
        yield VerdictGroup(verdicts_by_rule or {}, count, are_archived)


def is_archived(records: FromClause) -> ColumnElement[bool]:
    """Return the condition that a version is archived. A version without a stage is not archived."""
    return func.coalesce(records.c.lifecycle_stage == "archived", false())


class _Reference(BaseModel):
    framework: str
    clause: str


class _Rule(BaseModel):
    title: str = ""
    severity: str = ""
    rationale: str = ""
    remedy: str = ""
    references: tuple[_Reference, ...]


class _Policy(BaseModel):
    rules: dict[str, _Rule]


class _Document(BaseModel):
    """The parts of a stored version of the policies that coverage reads."""

    policies: dict[str, _Policy]
    frameworks: dict[str, Framework] = {}


@dataclass(frozen=True, slots=True)
class StoredRule:
    """A rule of the policies in force."""

    rule_id: str
    title: str
    severity: str
    rationale: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class StoredPolicies:
    """The rules that last evaluated a tenant, and the frameworks that they may refer to."""

    rules: Mapping[str, StoredRule] = field(default_factory=dict)
    references: References = field(default_factory=dict)
    catalog: Catalog = field(default_factory=shipped_catalog)


def current_policies(session: TenantSession, *, at: datetime | None = None) -> StoredPolicies:
    """Return the policies that last evaluated the tenant, now or at a given time; before an evaluation, without rules.

    Raises:
        DatabaseError: another release stored the policies in a form that this release cannot read.
    """
    current = config_versions.config_version(session, "policy", at=at)
    if current is None:
        return StoredPolicies()
    try:
        document = _Document.model_validate(current.document)
    except ValidationError as error:
        raise DatabaseError(
            "another release stored the tenant's policies in a form that this one cannot read: sync the tenant"
        ) from error
    rules = {
        rule_id: rule
        for policy in document.policies.values()
        for rule_id, rule in sorted(policy.rules.items())  # JSON in Postgres keeps no order
    }
    return StoredPolicies(
        {
            rule_id: StoredRule(rule_id, rule.title, rule.severity, rule.rationale, rule.remedy)
            for rule_id, rule in rules.items()
        },
        {
            rule_id: {(reference.framework, reference.clause) for reference in rule.references}
            for rule_id, rule in rules.items()
        },
        {**shipped_catalog(), **dict(sorted(document.frameworks.items()))},
    )


def coverage_of(store: Store, tenant_id: str, frameworks: Sequence[Framework]) -> tuple[FrameworkCoverage, ...]:
    """Return how the tenant's living versions cover each clause, according to the stored verdicts.

    Raises:
        DatabaseError: the database cannot be used, or another release stored the policies in a form that this release
            cannot read.
    """
    with store.begin_snapshot(tenant_id) as session:
        return framework_coverage(frameworks, current_policies(session).references, verdict_groups(session))


def stored_catalog(store: Store, tenant_id: str) -> Catalog:
    """Return the frameworks of the package, and the frameworks of the tenant's policies at its last evaluation.

    Raises:
        DatabaseError: the database cannot be used, or another release stored the policies in a form that this release
            cannot read.
    """
    with store.begin_snapshot(tenant_id) as session:
        return current_policies(session).catalog
