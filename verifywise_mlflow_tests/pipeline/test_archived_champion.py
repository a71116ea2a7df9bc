"""MLflow deprecated stages: if an alias puts a version in production, an old stage does not take it out of scope."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.support.registry import Registry
from verifywise_mlflow_tests.support.syncing import record, rows, sync


def findings(stored: Mapping[str, object]) -> list[tuple[str, str]]:
    return [(finding["kind"], finding["sentence"]) for finding in cast("list[dict[str, str]]", stored["findings"])]


def verdict(store: Store, version: int, rule_id: str) -> object:
    (found,) = (
        row["verdict"]
        for row in rows(store, "compliance_results")
        if (row["version_number"], row["rule_id"]) == (version, rule_id)
    )
    return found


def test_a_champion_that_a_transition_archived_is_in_production_until_its_alias_moves(
    registry: Registry, tenant: Tenant, store: Store
) -> None:
    client = registry.client
    registry.version("churn")
    registry.version("churn")
    client.transition_model_version_stage("churn", "1", "Production")
    client.set_registered_model_alias("churn", "champion", "1")
    client.transition_model_version_stage("churn", "2", "Production", archive_existing_versions=True)
    assert client.get_model_version("churn", "1").current_stage == "Archived"

    sync(tenant, store)
    champion = record(store, "churn", 1)
    successor = record(store, "churn", 2)
    verdicts = [verdict(store, version, "production-approver") for version in (1, 2)]
    client.set_registered_model_alias("churn", "champion", "2")
    sync(tenant, store)
    former_champion = record(store, "churn", 1)

    assert (champion["lifecycle_stage"], successor["lifecycle_stage"]) == ("production", "production")
    origins = cast("dict[str, dict[str, str]]", champion["origins"])
    origin = origins["lifecycle_stage"]
    assert (origin["source"], origin["key"]) == ("alias", "champion")
    assert "alias 'champion' says production, version 'current_stage' says archived: the first counts" in origin["rule"]
    assert findings(champion) == [
        (
            "ambiguous stage",
            "lifecycle_stage: alias 'champion' says production and was used, but version 'current_stage' says archived",
        )
    ]
    assert verdicts == ["not evidenced", "not evidenced"], "the rules for production apply to both"
    assert (former_champion["lifecycle_stage"], findings(former_champion)) == ("archived", [])
    assert verdict(store, 1, "production-approver") == "not applicable"
    stage_events = [
        (row["version_number"], row["previous"], row["value"])
        for row in rows(store, "lifecycle_events", "event_id")
        if row["kind"] == "stage"
    ]
    assert stage_events == [(1, None, "Archived"), (2, None, "Production")], "events report MLflow's own stage"
