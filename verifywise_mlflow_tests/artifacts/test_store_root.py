from __future__ import annotations

import pytest

from verifywise_mlflow.artifacts.location import (
    LoggedModelFiles,
    ModelLocation,
    NoFiles,
    RunFiles,
    StoredFiles,
    UnreachableFiles,
)
from verifywise_mlflow.artifacts.store_root import store_root


@pytest.mark.parametrize(
    ("location", "stored_below", "root"),
    [
        (RunFiles("r1", "model", "mlflow-artifacts:/7/r1/artifacts/model"), None, "mlflow-artifacts:/7"),
        (RunFiles("r1", "", "s3://bucket/mlflow/7/r1/artifacts"), "s3://bucket", "s3://bucket/mlflow/7"),
        (LoggedModelFiles("m-1", "mlflow-artifacts:/7/models/m-1/artifacts"), None, "mlflow-artifacts:/7"),
        (RunFiles("r1", "model", "runs:/r1/model"), None, "runs:"),
        (LoggedModelFiles("m-1", "models:/m-1"), None, "models:"),
        (StoredFiles("file:///mnt/a/churn", "churn"), "file:///mnt/a/", "file:///mnt/a"),
        (UnreachableFiles("s3://bucket/churn", "not served"), "s3://bucket", "s3://bucket"),
        (StoredFiles("s3://bucket/churn", "churn"), None, "s3://bucket"),
        (NoFiles("no source"), None, ""),
    ],
)
def test_the_folders_of_one_experiment_or_store_are_evaluated_together(
    location: ModelLocation, stored_below: str | None, root: str
) -> None:
    assert store_root(location, stored_below) == root
