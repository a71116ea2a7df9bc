"""A tenant whose records are evaluated from the store alone, on any day, by policies that a test writes."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.connector.models import ModelVersion, RegisteredModel
from verifywise_mlflow.normalizer.record_inputs import RecordInputs
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.sync import Sync
from verifywise_mlflow.tenants.tenant import Compliance, Tenant
from verifywise_mlflow_tests.support.stored_states import write_record
from verifywise_mlflow_tests.support.syncing import rows

RULE = """
  - id: {rule_id}
    version: {version}
    title: {title}
    severity: high
    rationale: Because.
    remedy: Do it.
    applies: {applies}
    requires: {requires}
    references: [{{framework: NIST AI RMF, clause: GOVERN 2.1, confidence: high}}]
"""


def rule_yaml(rule_id: str, requires: str, *, applies: str = "'true'", version: int = 1, title: str = "Held") -> str:
    """Return the YAML of a rule. The expressions are passed with their quotes."""
    return RULE.format(rule_id=rule_id, requires=requires, applies=applies, version=version, title=title)


def write_policy(path: Path, *rules: str, policy_id: str = "ours", version: int = 1, thresholds: str = "{}") -> Path:
    """Write a policy's file, and return its path."""
    head = f"id: {policy_id}\nversion: {version}\ntitle: Ours\nthresholds: {thresholds}\nrules:"
    path.write_text(head + "".join(rules))
    return path


def one_rule_compliance(folder: Path) -> Compliance:
    """Return settings with one cheap rule, for tests that need no verdicts of the default policy."""
    policy = write_policy(folder / "one-rule.yaml", rule_yaml("named", """'model_name != ""'"""))
    return Compliance(default_policy=False, policies=(policy,))


def tenant_with_policies(**compliance: object) -> Tenant:
    """Return a tenant with compliance settings, whose server is never read."""
    settings = {"tenant_id": "acme", "tracking_uri": "https://mlflow.acme.example", "compliance": compliance}
    return Tenant.model_validate(settings)


def store_record(
    store: Store, model: str, number: int, now: datetime, *, stage: str | None = None, **tags: str
) -> None:
    """Store the record of a version."""
    version = ModelVersion(model, number, stage=stage, tags=tags)
    write_record(store, RecordInputs(version=version, model=RegisteredModel(model)), now)


def evaluate(tenant: Tenant, store: Store, now: datetime) -> Sync:
    """Evaluate the records that are due."""
    with Sync(tenant, store, now=lambda: now) as sync:
        sync.run(Stage.COMPLIANCE_RESULTS)
    return sync


def verdicts(store: Store) -> dict[tuple[str, int, str], str]:
    """Return all verdicts by version and rule."""
    return {
        (str(row["model_name"]), int(str(row["version_number"])), str(row["rule_id"])): str(row["verdict"])
        for row in rows(store, "compliance_results")
    }
