"""A tenant's compliance over time: gaps age, close and reopen, and a waiver never hides them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from verifywise_mlflow.compliance.waivers import Waiver
from verifywise_mlflow.connector.models import ModelVersion, RegisteredModel
from verifywise_mlflow.normalizer.record_inputs import RecordInputs
from verifywise_mlflow.persistence.queries.gaps import urgent_gaps
from verifywise_mlflow.persistence.queries.overview import overview
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.waiver_sync import grant_waiver
from verifywise_mlflow.services.compliance_summary import summarize_compliance
from verifywise_mlflow.services.tenant_policies import load_rules
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.support.evaluation_fixtures import (
    evaluate,
    rule_yaml,
    store_record,
    tenant_with_policies,
    write_policy,
)
from verifywise_mlflow_tests.support.forging import WITH_CELL
from verifywise_mlflow_tests.support.stored_states import day, write_record

RULES = (
    rule_yaml("owned", "owner == 'ada'"),
    rule_yaml("lasting", "version_number > 5", applies="version_number > 1"),
)


@pytest.fixture
def tenant(tmp_path: Path) -> Tenant:
    return tenant_with_policies(default_policy=False, policies=[str(write_policy(tmp_path / "ours.yaml", *RULES))])


def figures(tenant: Tenant, store: Store, at: datetime) -> dict[str, int | float]:
    return summarize_compliance(store, "acme", load_rules(tenant), at).metrics()


def oldest(tenant: Tenant, store: Store, at: datetime) -> int | float | None:
    return figures(tenant, store, at).get("oldest_gap_days")


def test_a_gap_ages_while_its_reason_changes_then_closes_and_reopens(tenant: Tenant, store: Store) -> None:
    ages = []
    for number, owner in ((1, None), (4, "bob"), (6, "eve"), (8, "ada"), (9, "bob"), (11, "bob")):
        store_record(store, "fraud", 1, day(number), **({"owner": owner} if owner else {}))
        evaluate(tenant, store, day(number))
        ages.append(oldest(tenant, store, day(number)))

    # The verdict is not evidenced, then fails for two owners in turn: this is one gap, open since the first day.
    assert ages == [0, 3, 5, None, 0, 2]


def test_the_metrics_count_open_gaps_by_age_and_severity(tenant: Tenant, store: Store) -> None:
    for model, number, since in (("a", 1, 1), ("b", 1, 2), ("c", 2, 24), ("d", 1, 25), ("e", 6, 31)):
        store_record(store, model, number, day(since), owner="bob" if model < "e" else "ada")
        evaluate(tenant, store, day(since))
    at = day(1) + timedelta(days=31)

    assert figures(tenant, store, at) == {
        "compliance_score": 28.57,  # 2 of the 7 applicable verdicts
        "versions_evidence_complete": 1,
        "versions_gaps": 0,
        "versions_failing": 4,
        "versions_incomplete": 0,
        "versions_not_judged": 0,
        "open_gaps": 5,
        "open_gaps_critical": 0,
        "open_gaps_high": 5,
        "open_gaps_medium": 0,
        "open_gaps_low": 0,
        # The ages in whole days: 7 (d), 8 (the two of c), 30 (b) and 31 (a).
        "open_gaps_0_to_7_days": 1,
        "open_gaps_8_to_30_days": 3,
        "open_gaps_31_to_90_days": 1,
        "open_gaps_over_90_days": 0,
        "oldest_gap_days": 31,
        "waived_gaps": 0,
    }
    much_later = figures(tenant, store, at + timedelta(days=84))
    assert (much_later["open_gaps_31_to_90_days"], much_later["open_gaps_over_90_days"]) == (0, 5)


def test_a_waived_gap_is_counted_separately_lowers_the_score_and_reopens_with_its_age(
    tenant: Tenant, store: Store
) -> None:
    store_record(store, "fraud", 1, day(1), owner="bob")
    store_record(store, "churn", 1, day(1), owner="ada")
    evaluate(tenant, store, day(1))
    waiver = Waiver(rule="owned", model="fraud", approver="Ada", reason="A pilot until spring.", expires=day(4).date())
    grant_waiver(store, tenant, waiver, day(2))

    figures_by_day = [figures(tenant, store, at) for at in (day(1), day(3), datetime(2026, 3, 5, tzinfo=UTC))]

    assert [
        (day_figures["open_gaps"], day_figures["waived_gaps"], day_figures.get("oldest_gap_days"))
        for day_figures in figures_by_day
    ] == [
        (1, 0, 0),
        (0, 1, None),
        (1, 0, 3),
    ]
    assert {day_figures["compliance_score"] for day_figures in figures_by_day} == {50}


def test_an_archived_version_counts_as_a_gap_but_not_in_the_score(tenant: Tenant, store: Store) -> None:
    store_record(store, "fraud", 1, day(1), owner="bob", stage="Archived")
    store_record(store, "churn", 1, day(1), owner="ada")
    evaluate(tenant, store, day(1))

    counted = figures(tenant, store, day(1))

    assert (counted["compliance_score"], counted["open_gaps"], counted["versions_failing"]) == (100, 1, 1)


def test_a_gap_that_cannot_be_read_for_some_days_is_not_open_and_keeps_its_age(tmp_path: Path, store: Store) -> None:
    policy = write_policy(tmp_path / "ours.yaml", rule_yaml("owned", "owner == 'ada'"))
    tenant = tenant_with_policies(default_policy=False, policies=[str(policy)])
    ages = []
    for number, model in ((1, RegisteredModel("fraud")), (4, None), (6, RegisteredModel("fraud"))):
        write_record(store, RecordInputs(version=ModelVersion("fraud", 1), model=model), day(number))
        evaluate(tenant, store, day(number))
        counted = figures(tenant, store, day(number))
        ages.append((counted["open_gaps"], counted.get("oldest_gap_days"), counted["versions_incomplete"]))

    assert ages == [(1, 0, 0), (0, None, 1), (1, 5, 0)]


def test_there_is_no_score_if_no_rule_applies(tmp_path: Path, store: Store) -> None:
    policy = write_policy(tmp_path / "none.yaml", rule_yaml("never", "'true'", applies="version_number > 9"))
    tenant = tenant_with_policies(default_policy=False, policies=[str(policy)])
    store_record(store, "fraud", 1, day(1))
    evaluate(tenant, store, day(1))

    assert "compliance_score" not in figures(tenant, store, day(1))
    assert figures(tenant, store, day(1))["versions_evidence_complete"] == 1


def test_gaps_are_listed_by_severity_then_stage_then_age_and_waived_ones_are_not(tmp_path: Path, store: Store) -> None:
    grave = rule_yaml("grave", "model_name != 'evil'").replace("severity: high", "severity: critical")
    policy = write_policy(tmp_path / "three.yaml", *RULES, grave)
    tenant = tenant_with_policies(default_policy=False, policies=[str(policy)])
    for model, since, stage, owner in (
        ("retired", 1, "Archived", "bob"),
        ("new", 3, None, "bob"),
        ("old", 2, None, "bob"),
        ("silent", 2, None, ""),
        ("live", 4, "Production", "bob"),
        ("next", 4, "Staging", "bob"),
        ("waived", 1, "Production", "bob"),
        ("evil", 4, "Archived", "eve"),
    ):
        store_record(store, model, 1, day(since), stage=stage, owner=owner)
        evaluate(tenant, store, day(since))
    waiver = Waiver(rule="owned", model="waived", approver="Ada", reason="A pilot until spring.", expires=day(9).date())
    grant_waiver(store, tenant, waiver, day(4))
    rules = load_rules(tenant)

    summary = summarize_compliance(store, "acme", rules, day(5))

    owned = summary.rules[0]
    assert [gap.model_name for gap in owned.worst_gaps] == ["live", "next", "old", "silent", "new"]
    assert (owned.open_gaps, owned.waived_gaps, owned.oldest_gap_days) == (7, 1, 4)
    in_order = [
        ("evil", "grave"),
        *((name, "owned") for name in ("live", "next", "old", "silent", "new", "retired", "evil")),
    ]
    with store.begin("acme") as session:
        listed = urgent_gaps(session, day(5), rules.severities, 50)
    assert [(urgent.gap.model_name, urgent.gap.rule_id) for urgent in listed] == in_order
    assert summary.urgent_gaps() == listed[:5] == overview(store, "acme", rules.severities, day(5)).urgent


def test_editing_a_verdict_does_not_reset_the_age_of_its_gap(tenant: Tenant, store: Store) -> None:
    store_record(store, "fraud", 1, day(1), owner="bob")
    evaluate(tenant, store, day(1))
    with store.begin_shared() as connection:
        connection.exec_driver_sql(
            f"{WITH_CELL}; UPDATE verifywise_mlflow.version_verdicts "
            "SET open_since[1] = now(), reasons = pg_temp.with_cell(reasons, 1, 'Nothing.')"
        )

    assert oldest(tenant, store, day(7)) == 6
