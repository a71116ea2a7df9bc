"""The outbox: written with the verdicts, coalesced by version, and without cost for tenants without a target."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import event

from verifywise_mlflow.delivery.drain import Drain
from verifywise_mlflow.delivery.verifywise.target import VerifyWiseTarget
from verifywise_mlflow.persistence import erasure, role_grants
from verifywise_mlflow.persistence.locks import delivery_lock
from verifywise_mlflow.persistence.repositories import delivery_ledger, delivery_outbox, delivery_targets
from verifywise_mlflow.persistence.repositories.delivery_ledger import Subject
from verifywise_mlflow.persistence.store import Store, TenantBusyError
from verifywise_mlflow.pipeline.stages import compliance_results
from verifywise_mlflow.tenants.delivery.settings import Delivery
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.support.evaluation_fixtures import (
    evaluate,
    rule_yaml,
    store_record,
    tenant_with_policies,
    verdicts,
    write_policy,
)
from verifywise_mlflow_tests.support.login_roles import login_role, new_name
from verifywise_mlflow_tests.support.stored_states import NOON
from verifywise_mlflow_tests.support.syncing import rows
from verifywise_mlflow_tests.support.trail_entries import NOW

TARGET = "verifywise"
SETTINGS = {"url": "https://governance.example.com", "auth": {"kind": "token", "token": "env:VW_TOKEN"}}


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    return write_policy(tmp_path / "policy.yaml", rule_yaml("owned", """'owner == "Ada"'"""))


@pytest.fixture
def tenant(policy: Path) -> Tenant:
    """A tenant with a target, which no test contacts."""
    without = tenant_with_policies(default_policy=False, policies=[str(policy)])
    return without.model_copy(update={"delivery": Delivery.model_validate({"verifywise": SETTINGS})})


def without_targets(tenant: Tenant) -> Tenant:
    return tenant.model_copy(update={"delivery": Delivery()})


def pending(store: Store) -> list[tuple[str, int]]:
    with store.begin("acme") as session:
        return [version.key for version in delivery_outbox.due(session, TARGET, NOON + timedelta(days=99), 100)]


def test_each_changed_version_is_pending_once_however_often_it_changed(store: Store, tenant: Tenant) -> None:
    for owner in ("Bob", "Ada", "Grace"):
        store_record(store, "fraud", 1, NOON, owner=owner)
        evaluate(tenant, store, NOON)

    assert pending(store) == [("fraud", 1)]


def test_nothing_is_pending_for_a_tenant_without_a_target(store: Store, tenant: Tenant) -> None:
    store_record(store, "fraud", 1, NOON)

    evaluate(without_targets(tenant), store, NOON)

    assert rows(store, "delivery_outbox") == []


def test_the_rows_are_committed_with_the_verdicts_or_not_at_all(
    store: Store, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_record(store, "fraud", 1, NOON)

    def fail(*_: object) -> None:
        raise RuntimeError("the process ends here")

    monkeypatch.setattr(compliance_results, "analyze_grown_tables", fail)  # the last call of the transaction
    with pytest.raises(RuntimeError):
        evaluate(tenant, store, NOON)

    assert (verdicts(store), rows(store, "delivery_outbox")) == ({}, [])


def test_an_evaluation_that_changes_the_day_only_makes_nothing_pending(
    store: Store, tenant: Tenant, policy: Path
) -> None:
    write_policy(policy, rule_yaml("fresh", "\"today < timestamp('2030-03-03T00:00:00Z')\""))
    store_record(store, "fraud", 1, NOON, owner="Bob")
    evaluate(tenant, store, NOON)
    with store.begin("acme") as session:
        delivery_outbox.remove(session, TARGET, delivery_outbox.due(session, TARGET, NOON, 10))
    evaluated_before = rows(store, "compliance_badges")[0]["evaluated_at"]

    evaluate(tenant, store, NOON + timedelta(days=1))

    assert rows(store, "compliance_badges")[0]["evaluated_at"] != evaluated_before
    assert pending(store) == []


def test_another_policy_makes_every_version_pending(store: Store, tenant: Tenant, policy: Path) -> None:
    store_record(store, "fraud", 1, NOON, owner="Ada")
    evaluate(tenant, store, NOON)
    with store.begin("acme") as session:
        delivery_outbox.remove(session, TARGET, delivery_outbox.due(session, TARGET, NOON, 10))
    write_policy(policy, rule_yaml("owned", """'owner == "Ada"'"""), version=2)

    evaluate(tenant, store, NOON)

    assert pending(store) == [("fraud", 1)]


def test_a_version_that_changes_while_it_is_delivered_stays_pending(store: Store, tenant: Tenant) -> None:
    store_record(store, "fraud", 1, NOON, owner="Bob")
    evaluate(tenant, store, NOON)
    with store.begin("acme") as session:
        under_way = delivery_outbox.due(session, TARGET, NOON, 10)
    store_record(store, "fraud", 1, NOON, owner="Ada")
    evaluate(tenant, store, NOON)

    with store.begin("acme") as session:
        delivery_outbox.remove(session, TARGET, under_way)

    assert pending(store) == [("fraud", 1)]


@contextmanager
def counted(store: Store) -> Iterator[list[str]]:
    statements: list[str] = []

    def record(*arguments: object) -> None:
        statements.append(str(arguments[2]))

    event.listen(store.engine, "before_cursor_execute", record)
    try:
        yield statements
    finally:
        event.remove(store.engine, "before_cursor_execute", record)


def test_a_target_costs_one_statement_per_batch_and_none_without_a_change(store: Store, tenant: Tenant) -> None:
    counts: list[int] = []
    for current in (without_targets(tenant), tenant, without_targets(tenant), tenant):
        if len(counts) < 2:
            store_record(store, "fraud", 1, NOON, owner=f"Person {len(counts)}")
        with counted(store) as statements:
            evaluate(current, store, NOON)
        counts.append(len([text for text in statements if "delivery_outbox" in text]))

    assert counts == [0, 1, 0, 0]


def test_one_delivery_to_a_target_runs_at_a_time_and_a_sync_does_not_wait(store: Store, tenant: Tenant) -> None:
    settings = tenant.delivery.verifywise
    assert settings is not None
    store_record(store, "fraud", 1, NOON)
    with store.exclusive("acme", lock=delivery_lock(TARGET)):
        report = Drain(store, "acme", VerifyWiseTarget(tenant, settings, store)).run()

        evaluate(tenant, store, NOON)

    assert report.outcome == "busy"
    assert pending(store) == [("fraud", 1)]


def test_an_erasure_removes_outbox_ledger_and_state_and_waits_for_no_delivery(store: Store, tenant: Tenant) -> None:
    store_record(store, "fraud", 1, NOON)
    evaluate(tenant, store, NOON)
    with store.begin("acme") as session:
        delivery_targets.register(session, TARGET, "digest", NOON, confirmed=True)
    with store.exclusive("acme", lock=delivery_lock(TARGET)), pytest.raises(TenantBusyError, match="delivery to"):
        erasure.erase(store, "acme", NOON)

    counts = erasure.erase(store, "acme", NOON)

    assert (counts["delivery_outbox"], counts["delivery_targets"]) == (1, 1)
    assert rows(store, "delivery_outbox") == []


def test_a_pipelines_role_may_deliver(store: Store, tenant: Tenant, database_url: str) -> None:
    settings = tenant.delivery.verifywise
    assert settings is not None
    with login_role(database_url, new_name("pipeline")) as role:
        with store.begin_shared() as connection:
            role_grants.grant(connection, role.name, "pipeline", None, NOW)
        store_record(store, "fraud", 1, NOON)
        with Store(role.url) as restricted:
            evaluate(tenant, restricted, NOON)

            report = Drain(restricted, "acme", VerifyWiseTarget(tenant, settings, restricted)).run(retry_parked=True)

            with restricted.begin("acme") as session:
                versions = delivery_outbox.due(session, TARGET, NOON, 10)
                subject = Subject(TARGET, "destination", "fraud", 1, 1)
                delivery_ledger.intend(session, subject, "entry", {"a": 1}, NOON)
                delivery_ledger.confirm(session, subject, "entry", {"a": 1}, NOON, remote_id="7")
                delivery_outbox.remove(session, TARGET, versions)

    assert (report.outcome, "VW_TOKEN" in str(report.reason)) == ("stopped", True)
    assert rows(store, "delivery_outbox") == []
    (row,) = rows(store, "delivery_ledger")
    assert (row["remote_id"], row["written"], row["intended"]) == ("7", {"a": 1}, None)
