"""Records are evaluated by their tenant's policies, and again if a policy, a threshold or the day changes."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from verifywise_mlflow.compliance import input_hash, reason_text
from verifywise_mlflow.compliance.reason_text import REASON_REVISION
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.stages import compliance_results
from verifywise_mlflow.services.tenant_policies import InvalidPoliciesError, load_rules
from verifywise_mlflow_tests.support.evaluation_fixtures import (
    evaluate,
    rule_yaml,
    store_record,
    tenant_with_policies,
    verdicts,
    write_policy,
)
from verifywise_mlflow_tests.support.stored_states import NOON, day
from verifywise_mlflow_tests.support.syncing import rows

OWNED = rule_yaml("owned", "owner == 'ada'")


def test_a_tenant_is_evaluated_by_its_own_policies_as_well_as_the_default_one(store: Store, tmp_path: Path) -> None:
    store_record(store, "fraud", 1, NOON, owner="ada")
    our_policy = write_policy(tmp_path / "a.yaml", OWNED)
    their_policy = write_policy(
        tmp_path / "b.yaml",
        rule_yaml("numbered", "version_number > thresholds.least"),
        policy_id="b",
        thresholds="{least: 5}",
    )

    evaluate(
        tenant_with_policies(policies=[str(our_policy), str(their_policy)], thresholds={"least": 0.5}), store, day(1)
    )

    stored_verdicts = verdicts(store)
    assert (
        stored_verdicts["fraud", 1, "owned"],
        stored_verdicts["fraud", 1, "numbered"],
        stored_verdicts["fraud", 1, "owner"],
    ) == (
        "pass",
        "pass",
        "pass",
    )
    row_by_rule = {row["rule_id"]: row for row in rows(store, "compliance_results")}
    assert [row_by_rule[rule]["policy_id"] for rule in ("owned", "numbered", "owner")] == ["ours", "b", "default"]
    assert row_by_rule["numbered"]["thresholds"] == {"least": 0.5}


def test_a_new_threshold_reevaluates_records_and_writes_only_changed_verdicts(store: Store, tmp_path: Path) -> None:
    store_record(store, "fraud", 1, NOON, owner="ada")
    path = write_policy(
        tmp_path / "a.yaml",
        OWNED,
        rule_yaml("numbered", "version_number > thresholds.least"),
        thresholds="{least: 0}",
    )
    compliance: dict[str, object] = {"policies": [str(path)], "default_policy": False}
    evaluate(tenant_with_policies(**compliance), store, day(1))

    second = evaluate(tenant_with_policies(**compliance, thresholds={"least": 1}), store, day(2))
    third = evaluate(tenant_with_policies(**compliance, thresholds={"least": 1}), store, day(3))

    assert verdicts(store) == {("fraud", 1, "owned"): "pass", ("fraud", 1, "numbered"): "fail"}
    sync_by_rule = {row["rule_id"]: row["sync_id"] for row in rows(store, "compliance_results")}
    assert sync_by_rule["numbered"] == second.sync_id != sync_by_rule["owned"]
    assert [sync.reports[0].progress.read for sync in (second, third)] == [1, 0]


def test_records_are_reevaluated_daily_only_if_a_rule_depends_on_the_day(store: Store, tmp_path: Path) -> None:
    store_record(store, "fraud", 1, NOON, owner="ada")
    fresh = rule_yaml("fresh", "\"today < timestamp('2026-03-03T00:00:00Z')\"")
    dated = tenant_with_policies(policies=[str(write_policy(tmp_path / "a.yaml", fresh))], default_policy=False)

    syncs = [evaluate(dated, store, at) for at in (day(1), day(1) + timedelta(hours=1), day(2), day(3))]

    assert [sync.reports[0].progress.read for sync in syncs] == [1, 0, 1, 1]
    states = [*rows(store, "compliance_result_history"), *rows(store, "compliance_results")]
    # The same verdict on the next day is no other state.
    assert [(row["verdict"], str(row["day"])) for row in states] == [("pass", "2026-03-01"), ("fail", "2026-03-03")]


def test_a_new_revision_of_the_reasons_rewrites_those_that_earlier_releases_stored(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_record(store, "fraud", 1, NOON, owner="bob")
    tenant = tenant_with_policies(policies=[str(write_policy(tmp_path / "a.yaml", OWNED))], default_policy=False)
    with monkeypatch.context() as earlier_release:
        for module in (input_hash, compliance_results):
            earlier_release.setattr(module, "REASON_REVISION", REASON_REVISION - 1)
        earlier_release.setattr(reason_text, "_quoted", lambda text: f"<{text}>")
        evaluate(tenant, store, day(1))
    (before,) = rows(store, "compliance_results")

    second, third = evaluate(tenant, store, day(2)), evaluate(tenant, store, day(3))

    (after,) = rows(store, "compliance_results")
    assert ["<bob>" in str(row["reason"]) for row in (before, after)] == [True, False]
    assert (after["verdict"], after["sync_id"]) == (before["verdict"], second.sync_id)
    assert [sync.reports[0].progress.read for sync in (second, third)] == [1, 0]


@pytest.mark.parametrize(
    ("compliance", "complaint"),
    [
        ({"policies": ["/nowhere/a.yaml"]}, "tenant 'acme', compliance: .*nowhere.*cannot be read|No such file"),
        ({"thresholds": {"least": 1}}, "no policy has the threshold 'least'"),
        ({"frameworks": ["ISO 9001"]}, "no rule refers to the framework 'ISO 9001'"),
    ],
)
def test_unusable_policies_are_reported_with_the_tenant(compliance: dict[str, object], complaint: str) -> None:
    with pytest.raises(InvalidPoliciesError, match=complaint):
        load_rules(tenant_with_policies(**compliance))


def test_two_policies_with_the_same_rule_id_are_refused_and_nothing_is_evaluated(store: Store, tmp_path: Path) -> None:
    store_record(store, "fraud", 1, NOON)
    conflicting_files = [str(write_policy(tmp_path / f"{name}.yaml", OWNED, policy_id=name)) for name in ("a", "b")]

    with pytest.raises(InvalidPoliciesError, match="'owned' is in the policies 'a' and 'b'"):
        evaluate(tenant_with_policies(policies=conflicting_files), store, day(1))

    assert verdicts(store) == {}


@pytest.mark.parametrize(
    "compliance",
    [{"default_policy": False}, {"policies": ["relative.yaml"]}, {"thresholds": {"a": float("nan")}}, {"polices": []}],
    ids=str,
)
def test_compliance_settings_without_rules_or_with_errors_are_refused(compliance: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="compliance"):
        tenant_with_policies(**compliance)


def test_a_waiver_that_begins_or_expires_reevaluates_nothing(store: Store, tmp_path: Path) -> None:
    store_record(store, "fraud", 1, NOON)
    waivers = tmp_path / "waivers.yaml"
    waivers.write_text("waivers: []")
    policies = [str(write_policy(tmp_path / "a.yaml", OWNED))]
    tenant = tenant_with_policies(policies=policies, default_policy=False, waivers=str(waivers))
    evaluate(tenant, store, day(1))
    before = rows(store, "compliance_results"), rows(store, "compliance_badges")

    line = "{rule: owned, model: fraud, approver: Ada, reason: A pilot until spring., expires: 2026-03-03}"
    waivers.write_text(f"waivers: [{line}]")
    syncs = [evaluate(tenant, store, day(number)) for number in (2, 3, 4)]

    assert [row["end_reason"] for row in rows(store, "waivers")] == ["expired"]
    assert [sync.reports[0].progress.read for sync in syncs] == [0, 0, 0]
    assert (rows(store, "compliance_results"), rows(store, "compliance_badges")) == before


@pytest.mark.parametrize("count", [3, 4, 7])
def test_each_record_is_evaluated_once_while_batches_overlap(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr(compliance_results, "RECORDS_PER_BATCH", 2)
    for number in range(1, count + 1):
        store_record(store, "fraud", number, NOON, **({"owner": "ada"} if number % 3 else {}))
    tenant = tenant_with_policies(policies=[str(write_policy(tmp_path / "a.yaml", OWNED))], default_policy=False)

    syncs = [evaluate(tenant, store, day(number)) for number in (1, 2)]

    assert [sync.reports[0].progress.read for sync in syncs] == [count, 0]
    assert verdicts(store) == {
        ("fraud", number, "owned"): "pass" if number % 3 else "not evidenced" for number in range(1, count + 1)
    }


def test_a_failed_batch_keeps_earlier_batches_and_the_next_sync_continues(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compliance_results, "RECORDS_PER_BATCH", 2)
    for number in range(1, 8):
        store_record(store, "fraud", number, NOON, owner="ada")
    tenant = tenant_with_policies(policies=[str(write_policy(tmp_path / "a.yaml", OWNED))], default_policy=False)
    with store.begin_shared() as connection:
        connection.execute(
            text("ALTER TABLE verifywise_mlflow.version_verdicts ADD CONSTRAINT refused CHECK (version_number <> 5)")
        )

    with pytest.raises(IntegrityError, match="refused"):
        evaluate(tenant, store, day(1))

    assert [number for _, number, _ in sorted(verdicts(store))] == [1, 2, 3, 4]
    with store.begin_shared() as connection:
        connection.execute(text("ALTER TABLE verifywise_mlflow.version_verdicts DROP CONSTRAINT refused"))
    assert evaluate(tenant, store, day(1)).reports[0].progress.read == 3
    assert len(verdicts(store)) == 7
