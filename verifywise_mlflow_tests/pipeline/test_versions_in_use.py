"""A rule can read which other versions of the model are in use. Changes of these versions cause a new evaluation."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from verifywise_mlflow.connector.models import ModelVersion, RegisteredModel
from verifywise_mlflow.normalizer.record_inputs import RecordInputs
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.sync import Sync
from verifywise_mlflow.services.verdict_explanation import explain_verdict
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.support.evaluation_fixtures import (
    evaluate,
    rule_yaml,
    store_record,
    tenant_with_policies,
    verdicts,
    write_policy,
)
from verifywise_mlflow_tests.support.stored_states import NOON, day, write_record
from verifywise_mlflow_tests.support.syncing import rows

ALONE = rule_yaml(
    "alone", "model_versions.production_count <= 1", applies="""'lifecycle_stage == "production"'""", title="Alone"
)


@pytest.fixture
def tenant(tmp_path: Path) -> Tenant:
    """A tenant whose only rule allows one version of a model in production."""
    return tenant_with_policies(policies=[str(write_policy(tmp_path / "a.yaml", ALONE))], default_policy=False)


def evaluated(sync: Sync) -> int:
    """Return how many records a sync evaluated."""
    return sync.reports[0].progress.read


def test_a_second_production_version_fails_the_first_although_only_the_second_changed(
    store: Store, tenant: Tenant
) -> None:
    for number in (1, 2, 3):
        store_record(store, "fraud", number, NOON, stage="Production" if number == 1 else None)
    store_record(store, "churn", 1, NOON, stage="Production")
    evaluate(tenant, store, day(1))
    before = verdicts(store)

    store_record(store, "fraud", 2, day(2), stage="Production")
    changed = evaluate(tenant, store, day(2))

    assert before["fraud", 1, "alone"] == "pass"
    assert verdicts(store) == {
        ("fraud", 1, "alone"): "fail",
        ("fraud", 2, "alone"): "fail",
        ("fraud", 3, "alone"): "not applicable",
        ("churn", 1, "alone"): "pass",
    }
    assert evaluated(changed) == 2  # neither the version that is not in use nor the other model


@pytest.mark.parametrize("end", ["archived", "withdrawn"])
def test_the_first_version_passes_again_once_the_second_is_out_of_use(store: Store, tenant: Tenant, end: str) -> None:
    for number in (1, 2):
        store_record(store, "fraud", number, NOON, stage="Production")
    evaluate(tenant, store, day(1))

    if end == "archived":
        store_record(store, "fraud", 2, day(2), stage="Archived")
    else:
        version = ModelVersion("fraud", 2, stage="Production")
        write_record(store, RecordInputs(version=version, model=RegisteredModel("fraud")), day(2), deleted_at=day(2))
    evaluate(tenant, store, day(2))

    assert verdicts(store)["fraud", 1, "alone"] == "pass"


def test_an_unchanged_model_is_not_evaluated_again(store: Store, tenant: Tenant) -> None:
    for number in (1, 2):
        store_record(store, "fraud", number, NOON, stage="Production")
    evaluate(tenant, store, day(1))

    assert evaluated(evaluate(tenant, store, day(2))) == 0


def test_rules_that_read_no_other_version_are_not_evaluated_for_their_sake(store: Store, tmp_path: Path) -> None:
    policy = write_policy(tmp_path / "a.yaml", rule_yaml("owned", "owner == 'ada'"))
    tenant = tenant_with_policies(policies=[str(policy)], default_policy=False)
    store_record(store, "fraud", 1, NOON, stage="Production")
    evaluate(tenant, store, day(1))

    store_record(store, "fraud", 2, day(2), stage="Production")

    assert evaluated(evaluate(tenant, store, day(2))) == 1


def test_the_versions_in_use_are_found_across_batches(
    store: Store, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("verifywise_mlflow.pipeline.stages.compliance_results.RECORDS_PER_BATCH", 1)
    for number in (1, 2, 3):
        store_record(store, "fraud", number, NOON, stage="Production")

    evaluate(tenant, store, day(1))

    assert {row["verdict"] for row in rows(store, "compliance_results")} == {"fail"}
    assert {str(row["values"]) for row in rows(store, "compliance_results")} == {
        "{'lifecycle_stage': 'production', 'model_versions.production_count': 3}"
    }


def test_a_verdict_is_explained_with_the_versions_that_were_in_use_then(store: Store, tenant: Tenant) -> None:
    store_record(store, "fraud", 1, NOON, stage="Production")
    evaluate(tenant, store, day(1))
    store_record(store, "fraud", 2, day(2), stage="Production")
    evaluate(tenant, store, day(2))

    assert [_explained(store, at) for at in (day(1), day(2))] == [("pass", ()), ("fail", ())]


def _explained(store: Store, at: datetime) -> tuple[str, tuple[str, ...]]:
    with store.begin("acme") as session:
        explanation = explain_verdict(session, ("fraud", 1), "alone", at)
    assert explanation
    return explanation.verdict.verdict, explanation.problems


def test_of_many_versions_in_use_the_newest_are_listed_and_all_are_counted(store: Store, tmp_path: Path) -> None:
    few = rule_yaml("few", "model_versions.production_count == 100 && model_versions.production[19] == 81")
    listed = rule_yaml("listed", "size(model_versions.production) == 20 && size(model_versions.candidates) == 1")
    policy = write_policy(tmp_path / "a.yaml", few, listed)
    tenant = tenant_with_policies(policies=[str(policy)], default_policy=False)
    store_record(store, "fraud", 101, NOON, stage="Staging")
    with store.begin("acme") as session:
        session.execute(
            text(
                "INSERT INTO verifywise_mlflow.canonical_records (tenant_id, model_name, version_number,"
                " lifecycle_stage, origins, incomplete, findings, fingerprint, deleted_at, changed_at, sync_id)"
                " SELECT 'acme', 'fraud', number, 'production', '{}', '[]', '[]', 'f', NULL, now(), 's'"
                " FROM generate_series(1, 100) AS number"
            )
        )

    evaluate(tenant, store, day(1))

    of_candidate = {rule: verdict for (_, number, rule), verdict in verdicts(store).items() if number == 101}
    assert of_candidate == {"few": "pass", "listed": "pass"}
