"""External assets, which Dagster has no code to materialize: the tenants' MLflow servers, prompts and agents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import dagster as dg

from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.defs.assets.column_schema import column_schema
from verifywise_mlflow.defs.partitions import tenant_partitions
from verifywise_mlflow.persistence.tables import SCHEMA
from verifywise_mlflow.pipeline.context import StageReport
from verifywise_mlflow.pipeline.sync import Sync

STAGES_READING_MLFLOW = frozenset(
    {Stage.REGISTERED_MODELS, Stage.MODEL_VERSIONS, Stage.TRAINING_RUNS, Stage.ARTIFACT_MANIFESTS}
)
"""The stages that read the server. The other two stages read only our store."""

mlflow_server = dg.AssetSpec(
    "mlflow_server",
    partitions_def=tenant_partitions,
    group_name="model_governance",  # the lineage of one group shows assets of other groups as bare names
    kinds={"mlflow"},
    owners=["team:data-platform"],
    tags={"access": "read_only"},
    description="A tenant's MLflow tracking server and registry, as configured in tenants.yaml. Access is read-only, "
    "and this asset cannot be materialized. registered_models shows when the server was last read and with how many "
    "requests. A sensor reports here when a server becomes unreachable and when it recovers.",
)


def _read_by_a_stage(name: str, table: str, deps: Sequence[dg.CoercibleToAssetDep], description: str) -> dg.AssetSpec:
    """Return an asset that a stage reads from MLflow in addition to the stage's own asset, and stores in a table."""
    return dg.AssetSpec(
        name,
        partitions_def=tenant_partitions,
        deps=deps,
        group_name="model_governance",
        kinds={"mlflow", "postgres"},
        owners=["team:data-platform"],
        tags={"access_to_mlflow": "read_only"},
        metadata={
            "dagster/table_name": f"{SCHEMA}.{table}",
            "dagster/storage_kind": "postgres",
            "dagster/column_schema": column_schema(table),
        },
        description=description,
    )


prompts = _read_by_a_stage(
    "prompts",
    "prompt_versions",
    [Stage.MODEL_VERSIONS.value],
    "The prompts of a tenant's registry, with their versions: aliases, tags, model configuration, "
    "variables and the SHA-256 of the template, which is not stored. model_versions reads them with the searches by "
    "which it finds hidden models, and reports each change here; this asset cannot be materialized by itself. "
    "How to read it: template_sha256 says whether two versions have the same text. canonical_records names the "
    "versions of models that use a prompt.",
)

agents = _read_by_a_stage(
    "agents",
    "agents",
    [Stage.TRAINING_RUNS.value, prompts],
    "The agents of a tenant's server: logged models of the type agent, with status, experiment, run, "
    "parameters, tags and linked prompts, also those that no version was registered from. training_runs lists them at "
    "each reconcile and reports each change here; this asset cannot be materialized by itself. How to read it: "
    "linked_prompts says which versions of prompts an agent uses; verifywise-mlflow agents says what was registered.",
)


def asset_events(sync: Sync, report: StageReport) -> Iterator[dg.AssetMaterialization]:
    """Yield the changes of a tenant's prompts and agents as materializations of their assets."""
    progress = report.progress
    for asset, changed in ((prompts, progress.prompts_changed), (agents, progress.agents_changed)):
        if changed:
            yield dg.AssetMaterialization(asset.key, partition=sync.tenant.tenant_id, metadata={"changed": changed})
