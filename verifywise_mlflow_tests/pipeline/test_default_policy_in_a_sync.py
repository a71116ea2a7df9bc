"""The default policy evaluates the data of a real MLflow server, and the problems that a sync finds in it."""

from __future__ import annotations

from pathlib import Path

from verifywise_mlflow.compliance.frameworks import shipped_catalog
from verifywise_mlflow.compliance.rules.policy import default_policy
from verifywise_mlflow.persistence.queries.dataframes import framework_coverage
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.tenants.tenant import Compliance, Tenant
from verifywise_mlflow_tests.support.registry import MODEL_FILES, Registry
from verifywise_mlflow_tests.support.syncing import rows, sync

OURS = """\
id: ours
version: 1
title: What we ask
rules:
  - id: sunday
    version: 1
    title: Nothing is called churn
    severity: low
    rationale: Shows that a tenant's own rule is evaluated.
    remedy: Call it something else.
    requires: model_name != "churn"
    references: [{framework: NIST AI RMF, clause: MAP 2.1, confidence: low}]
"""


def verdicts(store: Store) -> dict[str, str]:
    return {str(row["rule_id"]): str(row["verdict"]) for row in rows(store, "compliance_results")}


def test_problems_that_a_sync_finds_fail_their_rules(registry: Registry, tenant: Tenant, store: Store) -> None:
    run_id = registry.run(
        params={"password": "hunter2-Tr0ub4dor&3-correct-horse"},
        tags={"risk_category": "minimal", "mlflow.source.git.commit": "8f3c1d2e4b5a6978-dirty"},
        files={f"model/{path}": content for path, content in MODEL_FILES.items()},
    )
    registry.version(
        "churn",
        run_id=run_id,
        source=f"runs:/{run_id}/model",
        tags={"risk_category": "high", "lifecycle_stage": "production"},
    )
    registry.client.delete_run(run_id)
    sync(tenant, store)

    verdict_by_rule = verdicts(store)

    assert set(verdict_by_rule) == {rule.id for rule in default_policy().rules}
    assert {rule for rule, verdict in verdict_by_rule.items() if verdict == "error"} == set()
    for rule in ("no-secrets", "consistent-risk-tags", "training-run-kept", "safe-serialization", "source-unmodified"):
        assert (rule, verdict_by_rule[rule]) == (rule, "fail")
    assert (verdict_by_rule["recent-training"], verdict_by_rule["owner"]) == ("pass", "not evidenced")


def test_a_tenants_own_threshold_and_policy_decide_its_verdicts_and_coverage(
    registry: Registry, tenant: Tenant, store: Store, tmp_path: Path
) -> None:
    path = tmp_path / "ours.yaml"
    path.write_text(OURS)
    compliance = Compliance(policies=(path,), thresholds={"longest_days_since_training": -1})
    registry.version("churn", run_id=registry.run(), tags={"lifecycle_stage": "production"}, description="Leavers")
    sync(tenant.model_copy(update={"compliance": compliance}), store)

    verdict_by_rule = verdicts(store)
    frame = framework_coverage(store, "acme", [shipped_catalog()["NIST AI RMF"]])
    (covered,) = [row for row in frame.to_dict("records") if row["clause"] == "MAP 2.1"]

    assert (verdict_by_rule["recent-training"], verdict_by_rule["sunday"]) == ("fail", "fail")
    assert (sorted(covered["rules"]), covered["failed"]) == (["description", "sunday"], 1)
