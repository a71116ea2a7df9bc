"""A change of mapping, policies or settings is recorded in the audit trail, with both versions stored in full."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.compliance.rules.policy import Policy, default_policy
from verifywise_mlflow.normalizer.mapping.tag_mapping import TagMapping
from verifywise_mlflow.persistence.repositories import config_versions
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.config_versioning import changed_settings
from verifywise_mlflow.pipeline.stages import canonical_records
from verifywise_mlflow.pipeline.sync import Sync
from verifywise_mlflow.pipeline.tenant_activation import reconcile_tenants
from verifywise_mlflow.services import tenant_policies
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.services.tagged_rows import write_version
from verifywise_mlflow_tests.support.intact_records import assert_intact
from verifywise_mlflow_tests.support.syncing import record, rows

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CONFIG_KINDS = ("tenant changed", "mapping changed", "policy changed")


@pytest.fixture
def tenant() -> Tenant:
    """A tenant whose server is never read: these stages use the store alone."""
    return tenant_with(auth={"kind": "bearer", "token": "env:ACME_TOKEN"})


def tenant_with(**other: object) -> Tenant:
    return Tenant.model_validate({"tenant_id": "acme", "tracking_uri": "https://mlflow.acme.example", **other})


def offline(tenant: Tenant, store: Store) -> str:
    with Sync(tenant, store) as sync:
        sync.run(Stage.CANONICAL_RECORDS)
        sync.run(Stage.COMPLIANCE_RESULTS)
    return sync.sync_id


def entries_by_kind(store: Store, sync_id: str) -> Mapping[str, Mapping[str, object]]:
    entries = [row for row in rows(store, "audit_entries", "sequence") if row["sync_id"] == sync_id]
    return {str(row["kind"]): row for row in entries if row["kind"] in CONFIG_KINDS}


def test_the_first_sync_records_the_configuration_and_the_next_records_nothing(tenant: Tenant, store: Store) -> None:
    first, second = offline(tenant, store), offline(tenant, store)

    assert tuple(entries_by_kind(store, first)) == CONFIG_KINDS
    assert entries_by_kind(store, first)["mapping changed"]["reason"] == "the first recorded mapping"
    assert entries_by_kind(store, second) == {}
    kinds = [row["kind"] for row in rows(store, "config_versions", "config_version_id")]
    assert [kind for kind in kinds if kind != "redaction"] == ["tenant", "mapping", "policy"]


def test_a_changed_mapping_is_recorded_with_its_differences_and_both_versions_are_stored(
    tenant: Tenant, store: Store
) -> None:
    offline(tenant, store)
    (former,) = (row["digest"] for row in rows(store, "config_versions") if row["kind"] == "mapping")
    other = tenant.model_copy(update={"mapping": TagMapping.model_validate({"defaults": {"owner": "risk"}})})

    entries = entries_by_kind(store, offline(other, store))

    assert list(entries) == ["mapping changed"]
    counts = entries["mapping changed"]["counts"]
    assert isinstance(counts, dict)
    assert counts["previous_digest"] == former
    assert counts["changed"] == {
        "mapping.defaults": {"previous": {}, "new": None},
        "mapping.defaults.owner": {"previous": None, "new": "risk"},
    }
    documents = [
        row["document"] for row in rows(store, "config_versions", "config_version_id") if row["kind"] == "mapping"
    ]
    assert [document["mapping"]["defaults"] for document in documents] == [{}, {"owner": "risk"}]  # type: ignore[index]


def test_changed_tenant_settings_are_recorded_and_secrets_only_by_reference(
    tenant: Tenant, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACME_TOKEN", "sesame-4711")
    monkeypatch.setenv("OTHER_TOKEN", "sesame-4712")
    offline(tenant, store)
    other = tenant_with(auth={"kind": "bearer", "token": "env:OTHER_TOKEN"}, intervals={"reconcile": "2h"})

    entry = entries_by_kind(store, offline(other, store))["tenant changed"]

    assert entry["reason"] == "the tenant changed: auth.token, intervals.reconcile"
    counts = entry["counts"]
    assert isinstance(counts, dict)
    assert counts["changed"] == {
        "auth.token": {"previous": "env:ACME_TOKEN", "new": "env:OTHER_TOKEN"},
        "intervals.reconcile": {"previous": "PT1H", "new": "PT2H"},
    }
    assert "sesame" not in str(rows(store, "config_versions")) + str(rows(store, "audit_entries"))


def test_a_release_that_interprets_tags_differently_rebuilds_all_records(
    tenant: Tenant, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_version(store, 1, {"risk": "grade-7"})
    offline(tenant, store)
    with store.begin("acme") as session:
        session.execute(
            text("UPDATE verifywise_mlflow.canonical_records SET findings = '[\"a sentence\"]', fingerprint = 'f'")
        )
    monkeypatch.setattr(canonical_records, "NORMALIZER_REVISION", 99)

    entries = entries_by_kind(store, offline(tenant, store))

    findings = record(store, "fraud")["findings"]
    assert isinstance(findings, list)
    assert [(finding["kind"], finding["field"]) for finding in findings] == [("unknown value", "risk_category")]
    assert list(entries) == ["mapping changed"]


def test_a_changed_policy_is_recorded(tenant: Tenant, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    offline(tenant, store)
    policy = default_policy()
    (first, *other_rules) = policy.rules
    renamed = (*other_rules, first.model_copy(update={"title": "New."}))
    changed = Policy(id=policy.id, version=99, title=policy.title, thresholds=policy.thresholds, rules=renamed)
    monkeypatch.setattr(tenant_policies, "default_policy", lambda: changed)

    counts = entries_by_kind(store, offline(tenant, store))["policy changed"]["counts"]

    assert isinstance(counts, dict)
    assert counts["changed"] == {
        f"policies.{policy.id}.version": {"previous": policy.version, "new": 99},
        f"policies.{policy.id}.rules.{first.id}.title": {"previous": first.title, "new": "New."},
    }


def test_reconciling_tenants_records_a_change_before_any_sync(tenant: Tenant, store: Store) -> None:
    reconcile_tenants(store, {"acme": tenant}, NOW)
    reconcile_tenants(store, {"acme": tenant}, NOW)
    reconcile_tenants(store, {"acme": tenant_with(workspace="team-a")}, NOW)

    entries = rows(store, "audit_entries", "sequence")
    assert [row["kind"] for row in entries] == ["tenant activated", "tenant changed", "tenant changed"]
    assert assert_intact(store, judges=False).not_committed == 0


def test_the_configuration_in_force_at_a_time_can_be_queried(tenant: Tenant, store: Store) -> None:
    early, late = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
    with store.begin("acme") as session:
        for digest, now in (("a", early), ("b", late), ("b", NOW), ("a", NOW)):
            config_versions.record_config_version(session, "policy", digest, {"says": digest}, "s", now)

        versions_at = [
            config_versions.config_version(session, "policy", at=at)
            for at in (datetime.min.replace(tzinfo=UTC), early, late, NOW)
        ]
        assert [version.digest if version else None for version in versions_at] == [None, "a", "b", "a"]
        assert config_versions.config_version(session, "mapping") is None
    with store.begin("globex") as session:
        assert config_versions.config_version(session, "policy") is None


def test_a_long_setting_is_recorded_by_its_name_only() -> None:
    assert changed_settings({"a": {"b": ["x"] * 200, "c": 1}}, {"a": {"b": ["x"], "c": 1}}) == {"a.b": None}
