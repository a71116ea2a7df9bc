"""Fills a real MLflow server's SQLite database with thousands of rows in a second, past its API.

The rows equal the rows that MLflow 3.17 writes: they are made with MLflow's own table definitions and defaults.
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mlflow.store.model_registry.dbmodels.models import (
    SqlModelVersion,
    SqlModelVersionTag,
    SqlRegisteredModel,
    SqlRegisteredModelTag,
)
from mlflow.store.tracking.dbmodels.models import (
    SqlExperiment,
    SqlLatestMetric,
    SqlLoggedModel,
    SqlMetric,
    SqlParam,
    SqlRun,
    SqlTag,
)
from sqlalchemy import Connection, Engine, NullPool, Table, create_engine, insert, select

Row = dict[str, object]

_LONG_AGO = 1_700_000_000_000
_READY = 2  # MLflow's number for a logged model that is complete


@dataclass(frozen=True, slots=True)
class Sizes:
    """The number of objects in a workspace."""

    models: int
    versions: int
    experiments: int = 1
    """Experiments in all, including those that the workspace already has."""
    runs: int = 0
    """Runs, each of one version, so at most as many as ``versions``."""
    logged_models: int = 0
    """Logged models, each the source of one version. Every second such version has its run only through the model."""

    def __str__(self) -> str:
        return (
            f"{self.models} models, {self.versions} versions, {self.experiments} experiments, {self.runs} runs, "
            f"{self.logged_models} logged models"
        )


def seed(database: Path, workspace: str, sizes: Sizes) -> None:
    """Write models ``model-00000`` …, their versions, and the versions' runs and logged models into a workspace."""
    assert max(sizes.runs, sizes.logged_models) <= sizes.versions
    with _engine(database).begin() as connection:
        experiments = _experiments(connection, workspace, sizes.experiments)
        runs = _runs(connection, sizes.runs, experiments)
        logged_models = _logged_models(connection, sizes.logged_models, runs, experiments)
        _registry(connection, workspace, sizes, runs, logged_models)


@cache
def _engine(database: Path) -> Engine:
    """Return the engine of a file. The engine caches compiled statements and keeps no connection."""
    return create_engine(f"sqlite:///{database}", poolclass=NullPool)


def model_name(index: int) -> str:
    """Return the name of a seeded model. Names sort by their index."""
    return f"model-{index:05d}"


def _write(connection: Connection, entity: type, rows: Sequence[Row]) -> None:
    table: Table = entity.__table__  # type: ignore[attr-defined]  # MLflow's entities have no types
    if rows:
        connection.execute(insert(table), rows)


def _experiments(connection: Connection, workspace: str, count: int) -> list[int]:
    table: Table = SqlExperiment.__table__
    existing_ids = list(connection.scalars(select(table.c.experiment_id).where(table.c.workspace == workspace)))
    # Other processes of the tests write to the same database, so the next free number would not stay free.
    first = uuid.uuid4().int >> 88
    new = range(first, first + count - len(existing_ids))
    _write(
        connection,
        SqlExperiment,
        [
            {
                "experiment_id": number,
                "name": f"experiment {number}",
                "workspace": workspace,
                "artifact_location": f"mlflow-artifacts:/{number}",
            }
            for number in new
        ],
    )
    return [*existing_ids, *new]


def _runs(connection: Connection, count: int, experiments: Sequence[int]) -> list[str]:
    runs = [uuid.uuid4().hex for _ in range(count)]
    runs_with_experiment = list(zip(runs, itertools.cycle(experiments), strict=False))
    _write(
        connection,
        SqlRun,
        [
            {
                "run_uuid": run,
                "name": f"run {run[:6]}",
                "source_type": "UNKNOWN",
                "source_name": "",
                "entry_point_name": "",
                "user_id": "ada",
                "status": "FINISHED",
                "start_time": _LONG_AGO,
                "end_time": _LONG_AGO + 1_000,
                "source_version": "",
                "artifact_uri": f"mlflow-artifacts:/{experiment}/{run}/artifacts",
                "experiment_id": experiment,
            }
            for run, experiment in runs_with_experiment
        ],
    )
    metrics: list[Row] = [
        {"key": key, "value": value, "timestamp": _LONG_AGO, "step": 1, "is_nan": False, "run_uuid": run}
        for run in runs
        for key, value in (("accuracy", 0.9), ("auc", 0.8), ("loss", 0.1))
    ]
    _write(connection, SqlMetric, metrics)
    _write(connection, SqlLatestMetric, metrics)
    _write(
        connection, SqlParam, [{"key": key, "value": "7", "run_uuid": run} for run in runs for key in ("depth", "seed")]
    )
    _write(
        connection,
        SqlTag,
        [
            {"key": key, "value": value, "run_uuid": run}
            for run in runs
            for key, value in (("mlflow.user", "ada"), ("mlflow.source.git.commit", "c0ffee"))
        ],
    )
    return runs


def _logged_models(connection: Connection, count: int, runs: Sequence[str], experiments: Sequence[int]) -> list[str]:
    models = [f"m-{uuid.uuid4().hex}" for _ in range(count)]
    from_runs: Iterator[str | None] = itertools.cycle(runs or [None])
    _write(
        connection,
        SqlLoggedModel,
        [
            {
                "model_id": model,
                "experiment_id": experiment,
                "name": "model",
                "artifact_location": f"mlflow-artifacts:/{experiment}/models/{model}/artifacts",
                "creation_timestamp_ms": _LONG_AGO,
                "last_updated_timestamp_ms": _LONG_AGO,
                "status": _READY,
                "source_run_id": run,
            }
            for model, experiment, run in zip(models, itertools.cycle(experiments), from_runs, strict=False)
        ],
    )
    return models


def _registry(
    connection: Connection, workspace: str, sizes: Sizes, runs: Sequence[str], logged_models: Sequence[str]
) -> None:
    names = [model_name(index) for index in range(sizes.models)]
    _write(
        connection,
        SqlRegisteredModel,
        [
            {"workspace": workspace, "name": name, "creation_time": _LONG_AGO, "last_updated_time": _LONG_AGO}
            for name in names
        ],
    )
    _write(
        connection,
        SqlRegisteredModelTag,
        [{"workspace": workspace, "name": name, "key": "owner", "value": "risk team"} for name in names],
    )
    versions: list[Row] = []
    for index in range(sizes.versions):
        run = runs[index % len(runs)] if runs else None
        logged_model = logged_models[index] if index < len(logged_models) else None
        versions.append(
            {
                "workspace": workspace,
                "name": names[index % len(names)],
                "version": index // len(names) + 1,
                "creation_time": _LONG_AGO + index,
                "last_updated_time": _LONG_AGO + index,
                "source": f"models:/{logged_model}" if logged_model else "s3://bucket/model",
                # MLflow's client sends the run, too. A registration over REST may omit the run.
                "run_id": None if logged_model and index % 2 else run,
            }
        )
    _write(connection, SqlModelVersion, versions)
    _write(
        connection,
        SqlModelVersionTag,
        [
            {name: version[name] for name in ("workspace", "name", "version")} | {"key": "risk", "value": "high"}
            for version in versions
        ],
    )
