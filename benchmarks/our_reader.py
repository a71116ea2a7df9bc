"""Our reader, from the registry's listings to the runs, with sequential requests."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator, Sequence
from contextlib import closing

from benchmarks.task import PASSWORD_VARIABLE, USER, ReadCounts, Task
from verifywise_mlflow.artifacts.version_origin import parse_logged_model_id
from verifywise_mlflow.connector.change_probes import newest_updates
from verifywise_mlflow.connector.mlflow_reader import MlflowReader
from verifywise_mlflow.connector.models import TrainingRun
from verifywise_mlflow.connector.tracking_reader import LOGGED_MODELS_PAGE_SIZE, RUNS_PAGE_SIZE
from verifywise_mlflow.http.request_auth import StaticHeaders
from verifywise_mlflow.http.settings import ConnectionSettings


def settings_of(task: Task) -> ConnectionSettings:
    """Return the connection settings for a task."""
    headers = {}
    if task.with_password:
        pair = f"{USER}:{os.environ[PASSWORD_VARIABLE]}"
        headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    return ConnectionSettings(task.uri, lambda: StaticHeaders(headers), allow_private_network=True)


def read_registry(settings: ConnectionSettings) -> ReadCounts:
    """Read everything; each listing must prove that it is complete."""
    counts = ReadCounts()
    with closing(MlflowReader(settings)) as reader:
        models, versions, experiments = (
            reader.registered_models().read(),
            reader.model_versions().read(),
            reader.experiments(),
        )
        assert all(listing.is_complete for listing in (models, versions, experiments))
        counts.models, counts.versions, counts.experiments = len(models.rows), len(versions.rows), len(experiments.rows)

        ids = [experiment.experiment_id for experiment in experiments.rows]
        run_ids = {version.run_id for version in versions.rows if version.run_id}
        sources = [version.source for version in versions.rows if version.source]
        logged = {model_id for source in sources if (model_id := parse_logged_model_id(source))}
        for batch in _batches(sorted(logged), LOGGED_MODELS_PAGE_SIZE):
            listed = reader.logged_models(batch, ids)
            assert listed.is_complete
            counts.logged_models += len(listed.rows)
            run_ids |= {model.source_run_id for model in listed.rows if model.source_run_id}
        for batch in _batches(sorted(run_ids), RUNS_PAGE_SIZE):
            runs = reader.runs(batch, ids)
            assert runs.is_complete
            _count(runs.rows, counts)
    return counts


def poll(settings: ConnectionSettings) -> ReadCounts:
    """Request the newest version's timestamp."""
    assert newest_updates(settings).version is not None
    return ReadCounts()


def read_runs(settings: ConnectionSettings, pages: int) -> ReadCounts:
    """Request a page of 200 runs repeatedly."""
    counts = ReadCounts()
    run_ids = [f"{number:032x}" for number in range(RUNS_PAGE_SIZE)]
    with closing(MlflowReader(settings)) as reader:
        for _ in range(pages):
            runs = reader.runs(run_ids, ["1"])
            assert runs.is_complete
            _count(runs.rows, counts)
    return counts


def _count(runs: Sequence[TrainingRun], counts: ReadCounts) -> None:
    counts.runs += len(runs)
    counts.values += sum(len(run.metrics) + len(run.params) + len(run.tags) for run in runs)


def _batches(identifiers: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(identifiers), size):
        yield identifiers[start : start + size]
