"""The source of all data: the tenants' MLflow servers, as an external asset that Dagster never materializes."""

from __future__ import annotations

import dagster as dg

from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.defs.partitions import tenant_partitions

STAGES_READING_MLFLOW = frozenset(
    {Stage.REGISTERED_MODELS, Stage.MODEL_VERSIONS, Stage.TRAINING_RUNS, Stage.ARTIFACT_MANIFESTS}
)
"""The stages that read the server. The other two read our store only."""

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
