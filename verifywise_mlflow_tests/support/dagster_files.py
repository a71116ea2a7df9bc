"""Copies the SQLite files of a new Dagster instance, instead of creating their tables each time.

An instance has three such files, and one more for each run. Creating each of their tables and indexes waits for the
disk, which takes more than half of the time of many tests.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage
from dagster._core.storage.schedules.sqlite.sqlite_schedule_storage import SqliteScheduleStorage
from sqlalchemy import Engine, create_engine
from sqlalchemy.pool import NullPool

_templates: dict[str, bytes] = {}
_create_events = SqliteEventLogStorage._initdb
_open_runs = SqliteRunStorage.from_local
_open_schedules = SqliteScheduleStorage.from_local


def copy_new_files() -> None:
    """Make Dagster's storages copy a file that does not exist yet. They check the revision of the copy as always."""
    SqliteEventLogStorage._initdb = _init_events  # type: ignore[assignment,method-assign]
    SqliteRunStorage.from_local = classmethod(_runs_from_local)  # type: ignore[assignment,method-assign]
    SqliteScheduleStorage.from_local = classmethod(_schedules_from_local)  # type: ignore[assignment,method-assign]


def _init_events(storage: SqliteEventLogStorage, engine: Engine, for_index_shard: bool = False) -> None:
    path = Path(engine.url.database or "")
    if path.exists():
        _create_events(storage, engine, for_index_shard)
        return

    def create(template: Path) -> None:
        _create_events(storage, create_engine(f"sqlite:///{template}", poolclass=NullPool), for_index_shard)

    _copy("events", path, create)


def _runs_from_local(_class: object, base_dir: str, inst_data: object = None) -> SqliteRunStorage:
    _copy("runs", Path(base_dir, "runs.db"), lambda template: _open_runs(str(template.parent)))
    return _open_runs(base_dir, inst_data)  # type: ignore[arg-type]


def _schedules_from_local(_class: object, base_dir: str, inst_data: object = None) -> SqliteScheduleStorage:
    _copy("schedules", Path(base_dir, "schedules.db"), lambda template: _open_schedules(str(template.parent)))
    return _open_schedules(base_dir, inst_data)  # type: ignore[arg-type]


def _copy(kind: str, path: Path, create: Callable[[Path], object]) -> None:
    """Write a new file, unless it exists."""
    if path.exists():
        return
    if kind not in _templates:
        folder = Path(tempfile.mkdtemp())
        template = folder / f"{kind}.db"
        create(template)
        with closing(sqlite3.connect(template)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        _templates[kind] = template.read_bytes()
        shutil.rmtree(folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}")
    partial.write_bytes(_templates[kind])
    partial.rename(path)
