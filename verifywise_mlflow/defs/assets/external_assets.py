"""Where the data comes from: the tenants' MLflow servers, which Dagster shows and never materializes."""

from __future__ import annotations

import dagster as dg

from verifywise_mlflow.defs.partitions import tenant_partitions
from verifywise_mlflow.pipeline.context import Stage

READ_FROM_MLFLOW = frozenset(
    {Stage.REGISTERED_MODELS, Stage.MODEL_VERSIONS, Stage.TRAINING_RUNS, Stage.ARTIFACT_MANIFESTS}
)
"""The stages that contact it. The other two work from our store alone."""

mlflow_server = dg.AssetSpec(
    "mlflow_server",
    partitions_def=tenant_partitions,
    group_name="model_governance",  # a lineage that shows one group would show another's assets as bare names
    kinds={"mlflow"},
    owners=["team:data-platform"],
    tags={"access": "read_only"},
    description="A tenant's MLflow tracking server and registry, as tenants.yaml describes it. We only read it: "
    "nothing here can be materialized. When it was read last, and how many requests "
    "that took, stands at registered_models; a sensor tells here when one falls silent, and when it is back.",
)
