"""SQLite databases for MLflow servers: migrated once per session instead of at each start, which takes a second.

They use a write-ahead log: a commit waits for the disk once instead of four times.
"""

from __future__ import annotations

import fcntl
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

_ARTIFACT_ROOT = "mlflow-artifacts:/"
"""That of a server that serves the artifacts, in which MLflow creates its default experiment."""


def new_mlflow_database(folder: Path, factory: pytest.TempPathFactory) -> Path:
    """Return a new SQLite file with MLflow's tables in a folder; all processes of a session share the template."""
    template = _template(factory)
    database = folder / "mlflow.db"
    shutil.copyfile(template, database)
    return database


def _template(factory: pytest.TempPathFactory) -> Path:
    base = factory.getbasetemp()
    # With pytest-xdist, each process has a folder of its own in that of the session.
    session_folder = base.parent if base.name.startswith("popen-") else base
    template = session_folder / "mlflow-template.db"
    with (session_folder / "mlflow-template.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not template.exists():
            from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore  # slow, and only one process needs it

            partial = template.with_suffix(".partial")
            uri = f"sqlite:///{partial}"
            store = SqlAlchemyStore(uri, _ARTIFACT_ROOT)  # type: ignore[no-untyped-call]  # MLflow's is untyped
            store.engine.dispose()
            with closing(sqlite3.connect(partial)) as connection:
                connection.execute("PRAGMA journal_mode=WAL")
            partial.rename(template)
    return template
