"""The registries to read: the registries of the tests, with runs of realistic size."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from mlflow.store.tracking.dbmodels.models import SqlLatestMetric, SqlMetric, SqlParam, SqlRun, SqlTag
from sqlalchemy import Table, create_engine, insert, select

from benchmarks.task import METRICS, PARAMS, TAGS
from verifywise_mlflow_tests.support.seeding import Sizes, seed

LARGE = Sizes(models=200, versions=2_000, experiments=20, runs=2_000, logged_models=200)
SMALL = Sizes(models=10, versions=100, experiments=20, runs=100, logged_models=10)
"""The size for a server on which each request takes a third of a second."""

WORKSPACE = "default"
"""The workspace id of a server without workspaces."""

_LONG_AGO = 1_700_000_000_000


def fill(database: Path, sizes: Sizes) -> None:
    """Write a registry into the database of a running server and fill its runs."""
    seed(database, WORKSPACE, sizes)
    engine = create_engine(f"sqlite:///{database}")
    try:
        with engine.begin() as connection:
            runs = list(connection.scalars(select(SqlRun.run_uuid)))
            metrics = [
                {"key": key, "value": number / 7, "timestamp": _LONG_AGO, "step": number, "is_nan": False}
                for number, key in enumerate(_names("metric", METRICS - 3))
            ]
            params = [{"key": key, "value": "0.0123456789"} for key in _names("parameter", PARAMS - 2)]
            tags = [{"key": key, "value": "some words of a team"} for key in _names("team.tag", TAGS - 2)]
            for entity, values in (
                (SqlMetric, metrics),
                (SqlLatestMetric, metrics),
                (SqlParam, params),
                (SqlTag, tags),
            ):
                table: Table = entity.__table__
                connection.execute(insert(table), [value | {"run_uuid": run} for run in runs for value in values])
    finally:
        engine.dispose()


def change(database: Path, versions: int, value: str) -> None:
    """Change the tag of this number of versions, spread over the models; no timestamp changes."""
    with closing(sqlite3.connect(database, timeout=60)) as connection, connection:
        chosen = "SELECT rowid FROM model_version_tags ORDER BY version, name LIMIT ?"
        connection.execute(f"UPDATE model_version_tags SET value = ? WHERE rowid IN ({chosen})", (value, versions))  # noqa: S608


def _names(kind: str, count: int) -> Sequence[str]:
    """Return names in addition to the names of a seeded run, which has three metrics, two parameters and two tags."""
    return [f"{kind}_{number}" for number in range(count)]
