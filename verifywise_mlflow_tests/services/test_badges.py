"""Badges as other systems show them: nothing is green if the record could not be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from verifywise_mlflow.compliance.badge import Badge
from verifywise_mlflow.connector.models import ModelVersion
from verifywise_mlflow.documents.report.tenant_state import tenant_state
from verifywise_mlflow.normalizer.record_inputs import RecordInputs
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.badges import badge_report
from verifywise_mlflow_tests.support.evaluation_fixtures import (
    evaluate,
    rule_yaml,
    store_record,
    tenant_with_policies,
    write_policy,
)
from verifywise_mlflow_tests.support.stored_states import day, write_record


@pytest.mark.parametrize(
    ("owner", "while_read", "once_unread"),
    [("ada", Badge.EVIDENCE_COMPLETE, Badge.INCOMPLETE), ("bob", Badge.FAILING, Badge.FAILING)],
)
def test_a_record_that_could_no_longer_be_read_takes_the_green_from_an_earlier_badge(
    tmp_path: Path, store: Store, owner: str, while_read: Badge, once_unread: Badge
) -> None:
    policy = write_policy(tmp_path / "ours.yaml", rule_yaml("owned", "owner == 'ada'"))
    tenant = tenant_with_policies(default_policy=False, policies=[str(policy)])
    store_record(store, "fraud", 1, day(1), owner=owner)
    evaluate(tenant, store, day(1))

    badges = [shown_badges(store)]
    write_record(store, RecordInputs(version=ModelVersion("fraud", 1, tags={"owner": owner})), day(2))
    badges.append(shown_badges(store))  # before the evaluation of the new record, and after it
    evaluate(tenant, store, day(2))
    badges.append(shown_badges(store))

    assert badges == [(while_read, while_read), (once_unread, once_unread), (once_unread, once_unread)]


def test_a_deployed_version_without_a_stage_counts_for_the_badge_of_its_model(tmp_path: Path, store: Store) -> None:
    policy = write_policy(tmp_path / "ours.yaml", rule_yaml("owned", "owner == 'ada'"))
    tenant = tenant_with_policies(default_policy=False, policies=[str(policy)])
    store_record(store, "fraud", 3, day(1), owner="bob", deployment_status="serving 100% of traffic")
    store_record(store, "fraud", 4, day(1), owner="ada", lifecycle_stage="development")
    evaluate(tenant, store, day(1))

    with store.begin("acme") as session:
        shown = badge_report(session, "fraud", None, day(3))
        state = tenant_state(session, day(3))

    assert shown
    assert (shown.badge, shown.counted_versions) == (Badge.FAILING, (3,))
    assert shown.selection_reason == "in production or deployed"
    (model,) = state.models
    assert model.badge
    assert (model.badge.badge, model.counting.version_number, state.in_production) == (Badge.FAILING, 3, 1)


def shown_badges(store: Store) -> tuple[Badge, Badge]:
    with store.begin("acme") as session:
        of_version, of_model = (badge_report(session, "fraud", number, day(3)) for number in (1, None))
    assert of_version
    assert of_model
    return of_version.badge, of_model.badge
