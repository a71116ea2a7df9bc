"""A bank whose models are grouped into AI systems by tags and by a declaration, evaluated by the default policy."""

from __future__ import annotations

from pathlib import Path

from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.support.evaluation_fixtures import evaluate, store_record, tenant_with_policies
from verifywise_mlflow_tests.support.stored_states import day

LENDING = """
  - name: Consumer lending
    models: [credit-*, fraud, gone-model]
    purpose: First assessment of consumer loans. A clerk decides.
    risk: {category: high, basis: "Annex III, point 5(b)", decided_by: AI board, decided_on: 2026-01-15}
    roles: [provider, deployer]
    provider: Acme Bank
    owner: credit-risk@acme.example
    affected_persons: People who apply for a loan.
    last_review: 2026-01-15
    next_review: 2026-02-15
    documents:
      - title: Risk management file
        location: https://documents.acme.example/risk
        version: "3"
        covers: [{framework: EU AI Act, clauses: [Annex IV(5)]}]
    declared_by: M. Okafor
    declared_on: 2026-01-20
"""
DESCRIPTION = (
    "Finds sentences in notes of customer calls that a person should read again before the case is closed. " * 2
)


def write_ai_systems(path: Path, *systems: str) -> Path:
    """Write a tenant's own file of AI systems, and return its path."""
    path.write_text("ai_systems:" + ("".join(systems) if systems else " []\n"))
    return path


def tenant_declaring(path: Path, **compliance: object) -> Tenant:
    """Return a tenant whose file of AI systems is at a path."""
    return tenant_with_policies(ai_systems=str(path), **compliance)


def seed_bank(store: Store, tenant: Tenant) -> None:
    """Store the bank's versions and evaluate them."""
    store_record(store, "credit-scoring", 1, day(1), stage="Archived", ai_system="Old scoring", risk_category="Low")
    store_record(
        store,
        "credit-scoring",
        2,
        day(1),
        stage="Production",
        ai_system="consumer-lending",
        risk_category="High",
        owner="credit-risk",
        business_purpose="Assesses <b>loans</b> | first",
    )
    store_record(store, "credit-scoring", 3, day(1), stage="Staging", risk_category="Limited")
    store_record(store, "fraud", 1, day(1), stage="Production", ai_system="Payments", risk_category="High")
    store_record(store, "churn", 1, day(1), stage="Production", use_case="Retention offers")
    store_record(store, "offers", 4, day(1), ai_system="retention_offers")
    store_record(store, "notes", 1, day(1), use_case=DESCRIPTION)
    store_record(store, "orphan", 1, day(1))
    evaluate(tenant, store, day(1))
