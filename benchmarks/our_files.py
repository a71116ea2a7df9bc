"""Runs the stage that reads and hashes files, after the earlier stages have read the versions."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from benchmarks.our_sync import tenant_of
from benchmarks.task import ReadCounts, Task
from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.http.pools import concurrency_limit
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline import due_manifests  # noqa: F401  # so that neither reading includes imports
from verifywise_mlflow.pipeline.sync import Sync
from verifywise_mlflow.tenants.connection import connection_settings
from verifywise_mlflow.tenants.tenant import Tenant

SAMPLE_SECONDS = 0.1
LISTING_STAGES = (Stage.REGISTERED_MODELS, Stage.MODEL_VERSIONS, Stage.TRAINING_RUNS)


def read_listings(task: Task) -> None:
    """Read the versions, so that their files are due."""
    with closing(Store(task.database_url)) as store, Sync(tenant_of(task), store) as run:
        for stage in LISTING_STAGES:
            assert not run.run(stage).progress.incomplete


def read_files(task: Task, store: Store) -> ReadCounts:
    """Read and hash the files of all versions."""
    assert task.files
    with (
        closing(store),
        Sync(tenant_of(task), store) as run,
        _watch_limit(tenant_of(task), task.files.limits_file),
    ):
        progress = run.run(Stage.ARTIFACT_MANIFESTS).progress
        assert not progress.incomplete, progress
        return ReadCounts(versions=progress.changed)


@contextmanager
def _watch_limit(tenant: Tenant, file: str) -> Iterator[None]:
    """Write the limit on concurrent requests to the tenant's server as JSON: pairs of a time and the limit."""
    if not file:
        yield
        return
    limit, is_over = concurrency_limit(connection_settings(tenant)), threading.Event()
    samples: list[tuple[float, int]] = []

    def sample() -> None:
        while not is_over.wait(SAMPLE_SECONDS):
            samples.append((time.monotonic(), limit.limit))

    sampling = threading.Thread(target=sample, daemon=True)
    sampling.start()
    try:
        yield
    finally:
        is_over.set()
        sampling.join()
        Path(file).write_text(json.dumps(samples))
