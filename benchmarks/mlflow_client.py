"""MLflow's plain client in its usual form: list the registry, then get each version's run."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.store.entities import PagedList

from benchmarks.task import ReadCounts

_LOGGED_MODEL = re.compile(r"models:/(m-[^/]+)")


def connect(uri: str) -> MlflowClient:
    """Return a client after its first call, which imports many modules."""
    client = MlflowClient(uri)
    client.search_experiments(max_results=1)
    return client


def read_registry(client: MlflowClient) -> ReadCounts:
    """Read everything."""
    counts = ReadCounts()
    counts.models = sum(1 for _ in _all_pages(lambda token: client.search_registered_models(page_token=token)))
    experiments = set()
    for version in _all_pages(lambda token: client.search_model_versions(page_token=token)):
        counts.versions += 1
        run_id = version.run_id
        if named := _LOGGED_MODEL.match(version.source):
            logged = client.get_logged_model(named[1])
            counts.logged_models += 1
            run_id = run_id or logged.source_run_id
        if run_id:
            run = client.get_run(run_id)
            _count(run, counts)
            experiments.add(run.info.experiment_id)
    for experiment in experiments:
        client.get_experiment(experiment)
        counts.experiments += 1
    return counts


def read_runs(client: MlflowClient, pages: int) -> ReadCounts:
    """Request a page of 200 runs repeatedly."""
    counts = ReadCounts()
    for _ in range(pages):
        for run in client.search_runs(["1"], max_results=200):
            _count(run, counts)
    return counts


def _count(run: Run, counts: ReadCounts) -> None:
    counts.runs += 1
    counts.values += len(run.data.metrics) + len(run.data.params) + len(run.data.tags)


def _all_pages(search: Callable[[str | None], PagedList]) -> Iterator:  # type: ignore[type-arg]
    token = None
    while True:
        page = search(token)
        yield from page
        token = page.token
        if not token:
            return
