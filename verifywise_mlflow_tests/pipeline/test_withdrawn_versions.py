"""No reading, new model of the same name, mapping or policy changes a withdrawn record or its verdicts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.compliance.waivers import Waiver
from verifywise_mlflow.normalizer.mapping.tag_mapping import TagMapping
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.sync import Sync
from verifywise_mlflow.pipeline.waiver_sync import grant_waiver
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.support.evaluation_fixtures import rule_yaml, write_policy
from verifywise_mlflow_tests.support.registry import Registry
from verifywise_mlflow_tests.support.syncing import record, rows, sync

RECORD_TABLES = ("canonical_records", "compliance_results", "compliance_badges")
WITHDRAWAL_COLUMNS = {"deleted_at", "revision", "record_revision", "fingerprint", "changed_at", "sync_id"}
"""The columns of a record and a badge that a withdrawal changes."""

Rows = list[dict[str, object]]


def stored_rows(store: Store, model: str, version: int) -> dict[str, Rows]:
    """Return a version's record, verdicts and badge, by table, as they are stored."""
    key = (model, version)
    return {
        table: [dict(row) for row in rows(store, table, "1") if (row["model_name"], row["version_number"]) == key]
        for table in RECORD_TABLES
    }


def content(stored: dict[str, Rows]) -> dict[str, Rows]:
    """Return what was read and concluded, without the columns that a withdrawal sets."""
    return {
        table: [{name: value for name, value in row.items() if name not in WITHDRAWAL_COLUMNS} for row in table_rows]
        for table, table_rows in stored.items()
    }


def governed_model(registry: Registry, name: str, *, versions: int) -> None:
    """Register a model whose versions take their owner, risk and description from the model."""
    for _ in range(versions):
        registry.version(name)
    for key, value in {"owner": "ada", "risk": "high"}.items():
        registry.client.set_registered_model_tag(name, key, value)
    registry.client.update_registered_model(name, "predicts churn")
    registry.client.set_registered_model_alias(name, "champion", str(versions))


@pytest.mark.parametrize("end", ["deleted", "renamed"])
def test_the_aliases_of_a_model_end_with_it(registry: Registry, tenant: Tenant, store: Store, end: str) -> None:
    governed_model(registry, "churn", versions=2)
    sync(tenant, store)
    before = {number: stored_rows(store, "churn", number) for number in (1, 2)}

    if end == "deleted":
        registry.client.delete_registered_model("churn")
    else:
        registry.client.rename_registered_model("churn", "attrition")
    sync(tenant, store)

    for number in (1, 2):
        withdrawn = stored_rows(store, "churn", number)
        assert withdrawn["canonical_records"][0]["deleted_at"] is not None
        assert "dangling alias" not in str(withdrawn["canonical_records"][0]["findings"])
        assert content(withdrawn) == content(before[number])
    if end == "renamed":
        assert record(store, "attrition", 2)["lifecycle_stage"] == "production"


@pytest.mark.parametrize("is_deletion_seen", [True, False], ids=["after a sync", "between two syncs"])
def test_a_new_model_of_the_name_changes_no_withdrawn_record(
    registry: Registry, tenant: Tenant, store: Store, is_deletion_seen: bool
) -> None:
    governed_model(registry, "churn", versions=2)
    sync(tenant, store)
    before = {number: stored_rows(store, "churn", number) for number in (1, 2)}
    now = datetime.now(UTC)
    accepted = {"rule": "description", "model": "churn", "approver": "Ada", "reason": "It retires this summer."}
    for number in (1, 2):
        waiver = Waiver.model_validate({**accepted, "version": number, "expires": (now + timedelta(days=2)).date()})
        grant_waiver(store, tenant, waiver, now)
    registry.client.delete_registered_model("churn")
    if is_deletion_seen:
        sync(tenant, store)
    withdrawn = stored_rows(store, "churn", 2)

    registry.version("churn", tags={"owner": "grace"})
    registry.client.set_registered_model_tag("churn", "risk", "minimal")
    successor_sync = sync(tenant, store)
    after = stored_rows(store, "churn", 2)

    if is_deletion_seen:
        assert after == withdrawn
    assert content(after) == content(before[2])
    successor = record(store, "churn", 1)
    assert (successor["owner"], successor["risk_category"], successor["deleted_at"]) == ("grace", "minimal", None)
    assert "incarnation 2" in str(successor["findings"])
    # The predecessor's states remain, and the successor does not inherit its gaps.
    (predecessor,) = (
        row
        for row in rows(store, "canonical_record_history", "revision")
        if row["version_number"] == 1 and (row["deleted_at"] is not None) == is_deletion_seen
    )
    assert (predecessor["owner"], predecessor["risk_category"]) == ("ada", "high")
    verdicts = stored_rows(store, "churn", 1)["compliance_results"]
    assert {verdict["sync_id"] for verdict in verdicts} == {successor_sync.sync_id}
    evaluated_at = {verdict["evaluated_at"] for verdict in verdicts}
    assert {verdict["open_since"] for verdict in verdicts} - {None} == evaluated_at
    # The waiver accepted a gap of the predecessor, and nobody has examined the successor.
    assert [row["end_reason"] for row in rows(store, "waivers", "waiver_id")] == ["superseded", None]
    former_verdicts = [row for row in rows(store, "compliance_result_history", "1") if row["version_number"] == 1]
    assert len(former_verdicts) == len(before[1]["compliance_results"])


def test_no_mapping_policy_or_model_change_reaches_a_withdrawn_version(
    registry: Registry, tenant: Tenant, store: Store, tmp_path: Path
) -> None:
    governed_model(registry, "churn", versions=2)
    sync(tenant, store)
    registry.client.delete_registered_model_alias("churn", "champion")
    registry.client.delete_model_version("churn", "2")
    sync(tenant, store)
    withdrawn = stored_rows(store, "churn", 2)

    registry.client.set_registered_model_tag("churn", "owner", "grace")
    mapping = TagMapping.model_validate({"replace_precedence": {"risk_category": []}})
    policy = write_policy(tmp_path / "one_rule.yaml", rule_yaml("owned", "has(stated.owner)"))
    compliance = tenant.compliance.model_copy(update={"default_policy": False, "policies": (policy,)})
    sync(tenant.model_copy(update={"mapping": mapping, "compliance": compliance}), store)

    living = record(store, "churn", 1)
    assert (living["owner"], living["risk_category"]) == ("grace", None)
    living_verdicts = stored_rows(store, "churn", 1)["compliance_results"]
    assert [verdict["rule_id"] for verdict in living_verdicts] == ["owned"]
    assert stored_rows(store, "churn", 2) == withdrawn
    by_version = {row["version_number"]: row for row in rows(store, "record_confirmations")}
    deleted_at = withdrawn["canonical_records"][0]["deleted_at"]
    assert [by_version[2][name] for name in ("version_confirmed_at", "judged_at")] == [deleted_at, deleted_at]
    assert by_version[1]["judged_at"] == living_verdicts[0]["evaluated_at"]
    # It was the champion until its alias and the version itself were deleted.
    assert withdrawn["canonical_records"][0]["lifecycle_stage"] == "production"


def test_a_version_deleted_before_its_record_was_built_gets_one_record_and_no_dangling_alias(
    registry: Registry, tenant: Tenant, store: Store
) -> None:
    governed_model(registry, "churn", versions=1)
    with Sync(tenant, store) as killed:
        killed.run(Stage.REGISTERED_MODELS)
        killed.run(Stage.MODEL_VERSIONS)
    registry.client.delete_registered_model("churn")
    sync(tenant, store)

    withdrawn = stored_rows(store, "churn", 1)
    unchanged = sync(tenant, store)

    built = record(store, "churn")
    assert (built["owner"], built["lifecycle_stage"], built["findings"]) == ("ada", "production", [])
    assert withdrawn["compliance_badges"] != []
    assert stored_rows(store, "churn", 1) == withdrawn
    assert [report.progress.changed for report in unchanged.reports] == [0] * 6


def test_a_withdrawn_version_that_reappears_is_read_again(registry: Registry, tenant: Tenant, store: Store) -> None:
    governed_model(registry, "churn", versions=1)
    sync(tenant, store)
    registry.client.rename_registered_model("churn", "attrition")
    sync(tenant, store)

    registry.client.set_registered_model_tag("attrition", "owner", "grace")
    registry.client.rename_registered_model("attrition", "churn")
    sync(tenant, store)

    assert (record(store, "churn")["owner"], record(store, "churn")["deleted_at"]) == ("grace", None)
    assert (record(store, "attrition")["owner"], record(store, "attrition")["deleted_at"] is None) == ("ada", False)
