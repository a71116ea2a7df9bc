"""A verdict on a record that could not be read completely is reproduced from what is stored with it."""

from __future__ import annotations

from pathlib import Path

from verifywise_mlflow.connector.models import ModelVersion
from verifywise_mlflow.normalizer.record_inputs import RecordInputs
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.verdict_explanation import explain_verdict
from verifywise_mlflow_tests.support.evaluation_fixtures import evaluate, rule_yaml, tenant_with_policies, write_policy
from verifywise_mlflow_tests.support.stored_states import day, write_record


def test_a_verdict_that_rests_on_an_unread_object_is_reproduced_with_the_object(tmp_path: Path, store: Store) -> None:
    policy = write_policy(tmp_path / "ours.yaml", rule_yaml("owned", "owner == 'ada'"))
    tenant = tenant_with_policies(default_policy=False, policies=[str(policy)])
    write_record(store, RecordInputs(version=ModelVersion("fraud", 1, run_id="r1")), day(1))
    evaluate(tenant, store, day(1))

    with store.begin("acme") as session:
        explanation = explain_verdict(session, ("fraud", 1), "owned", day(2))

    assert explanation
    assert explanation.problems == ()
    assert explanation.verdict.verdict == "not read"
    assert explanation.verdict.values == {"owner": None, "unread": ["model", "run"]}
    assert explanation.verdict.reason == (
        "It is unknown whether MLflow shows owner, so the rule is undecided. Part of the record could not be read: the "
        "registered model was not read: its tags and aliases are unknown; the training run 'r1' was not read. The rule "
        "is decided once it can be read."
    )
