"""The definitions that Dagster loads: six assets partitioned by tenant, their checks, and the sync job."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from verifywise_mlflow.compliance.rules.policy import default_policy
from verifywise_mlflow.definitions import defs
from verifywise_mlflow.defs.assets.compliance_metrics import compliance_metrics_assets

STAGES = [
    "registered_models",
    "model_versions",
    "training_runs",
    "artifact_manifests",
    "canonical_records",
    "compliance_results",
]

UPSTREAM = {
    "registered_models": {"mlflow_server"},
    "model_versions": {"mlflow_server", "registered_models"},
    "training_runs": {"mlflow_server", "model_versions"},
    "artifact_manifests": {"mlflow_server", "training_runs"},
    "canonical_records": {"registered_models", "model_versions", "training_runs", "artifact_manifests", "prompts"},
    "compliance_results": {"canonical_records"},
}


def test_the_definitions_load() -> None:
    dg.Definitions.validate_loadable(defs)


@pytest.mark.parametrize("stage", STAGES)
def test_an_asset_has_its_lineage_description_owner_and_code_link(stage: str) -> None:
    graph = defs.resolve_asset_graph()
    node = graph.get(dg.AssetKey(stage))
    assert {key.to_user_string() for key in node.parent_keys} == UPSTREAM[stage]
    assert isinstance(node.partitions_def, dg.DynamicPartitionsDefinition)
    assert node.partitions_def.name == "tenants"
    assert "How to read it" in (node.description or "")
    assert node.owners == ["team:data-platform"]
    assert node.group_name == "model_governance"
    assert node.kinds == ({"postgres", "mlflow"} if "mlflow_server" in UPSTREAM[stage] else {"postgres"})
    assert node.tags["stage"] == stage
    assert node.freshness_policy_or_from_metadata is not None
    assert node.metadata["dagster/table_name"] == f"verifywise_mlflow.{stage}"
    columns = {column.name: column.description for column in node.metadata["dagster/column_schema"].columns}
    assert "tenant_id" in columns
    assert all(columns.values())
    (code,) = node.metadata["dagster/code_references"].code_references
    assert code.label == f"pipeline/stages/{stage}.py"


def test_the_job_runs_all_six_stages_in_one_process() -> None:
    job = defs.resolve_job_def("sync_tenant")
    assert {node.name for node in job.nodes} == set(STAGES)
    assert job.executor_def is dg.in_process_executor


def test_lineage_starts_at_the_servers_which_cannot_be_materialized() -> None:
    prompts = defs.resolve_asset_graph().get(dg.AssetKey("prompts"))
    assert (prompts.is_executable, prompts.parent_keys) == (False, {dg.AssetKey("model_versions")})
    agents = defs.resolve_asset_graph().get(dg.AssetKey("agents"))
    assert (agents.is_executable, agents.parent_keys) == (
        False,
        {dg.AssetKey("training_runs"), dg.AssetKey("prompts")},
    )
    server = defs.resolve_asset_graph().get(dg.AssetKey("mlflow_server"))
    assert (server.is_executable, server.kinds, server.parent_keys) == (False, {"mlflow"}, set())
    assert isinstance(server.partitions_def, dg.DynamicPartitionsDefinition)


def test_every_rule_is_a_check_and_the_stages_have_data_quality_checks() -> None:
    keys = defs.resolve_asset_graph().asset_check_keys
    rules = {("compliance_results", rule.id.replace("-", "_")) for rule in default_policy().rules}
    assert {(key.asset_key.to_user_string(), key.name) for key in keys} == rules | {
        *((stage, "complete") for stage in STAGES[:5]),
        ("artifact_manifests", "intact"),
        ("canonical_records", "fresh"),
        ("verifywise_delivery", "delivered"),
        ("event_delivery", "delivered"),
    }


def test_each_tenant_has_an_unpartitioned_asset_for_plots_over_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "tenants.yaml"
    path.write_text(
        "tenants:\n  acme: {tracking_uri: 'https://a.example'}\n  9_b.C-d: {tracking_uri: 'https://b.example'}\n"
    )
    monkeypatch.setenv("VERIFYWISE_TENANTS", str(path))

    loaded = dg.Definitions.merge(defs, dg.Definitions(assets=compliance_metrics_assets()))

    graph = loaded.resolve_asset_graph()
    for tenant_id in ("acme", "9_b.C-d"):
        node = graph.get(dg.AssetKey(["compliance_over_time", tenant_id]))
        assert (node.partitions_def, node.is_executable) == (None, False)
        assert node.parent_keys == set()  # the lineage of hundreds of assets would be unreadable
    path.write_text("tenants: [")
    assert compliance_metrics_assets() == []
