"""Exports a tenant. The first export writes everything; later exports write only later changes.

All tables are read in one snapshot of the database. An interrupted export leaves the directory as it was. Part files
are written to a separate folder and then moved into the folders of their tables. They count only when the state names
them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from verifywise_mlflow.common.canonical_json import canonical_json, sha256_of
from verifywise_mlflow.common.reports_extra import explain_missing
from verifywise_mlflow.exports.table_file import Writer
from verifywise_mlflow.exports.warehouse.json_lines import write_json_lines
from verifywise_mlflow.exports.warehouse.layout import (
    GAPS,
    GAPS_LAYOUT,
    LAYOUTS,
    TableLayout,
    layout_of,
    schema_document,
)
from verifywise_mlflow.exports.warehouse.state import (
    SCHEMA_FILE,
    STAGING,
    STATE_FILE,
    ExportDirectoryError,
    ExportState,
    FileFormat,
    locked,
    part_path,
    read_state,
    remove_other_parts,
    write_json,
)
from verifywise_mlflow.persistence.queries.warehouse_rows import Position, changed_rows, read_position
from verifywise_mlflow.persistence.queries.warehouse_tables import EXPORT_TABLES
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.gaps import open_gaps
from verifywise_mlflow.services.version_references import require_known_tenant

_TABLES = {layout.name: layout for layout in LAYOUTS}


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What an export added."""

    export_number: int
    reason_for_all: str | None
    """Why everything was exported; None if only changes were exported."""
    rows: dict[str, int]
    """The number of written rows by table."""


def export_tenant(
    store: Store, tenant_id: str, directory: Path, file_format: FileFormat, now: datetime
) -> ExportResult:
    """Export what the directory does not contain yet.

    Args:
        store: The store.
        tenant_id: The tenant.
        directory: The directory. It is created if it is missing. It contains one tenant in one format.
        file_format: ``parquet`` or ``jsonl``.
        now: The current time, which ages of gaps and waivers depend on.

    Raises:
        ExportDirectoryError: another export is running there, the directory holds another tenant or format, or Parquet
            needs an extra that is not installed.
        UnresolvedNameError: the tenant is not known.
        DatabaseError: the database cannot be used.
        OSError: a file cannot be written.
    """
    if file_format == "parquet":
        _parquet_writer()
    with store.begin_snapshot(tenant_id) as session:
        require_known_tenant(session)
        with locked(directory):
            former = read_state(directory)
            _refuse_other_contents(former, tenant_id, file_format)
            remove_other_parts(directory, _TABLES, former)
            return _Export(session, directory, file_format, now, former).run()


def _refuse_other_contents(former: ExportState | None, tenant_id: str, file_format: FileFormat) -> None:
    if former and (former.tenant, former.format) != (tenant_id, file_format):
        raise ExportDirectoryError(
            f"the directory holds the tenant {former.tenant!r} as {former.format}: export {tenant_id!r} as "
            f"{file_format} to a directory of its own"
        )


class _Export:
    """One export to a directory that no other process changes."""

    def __init__(
        self,
        session: TenantSession,
        directory: Path,
        file_format: FileFormat,
        now: datetime,
        former: ExportState | None,
    ) -> None:
        self._session = session
        self._directory = directory
        self._format = file_format
        self._now = now
        self._position = read_position(session)
        self._schema = schema_document()
        self._layout = sha256_of(canonical_json(self._schema))
        self._reason = _reason_for_all(former, self._position, self._layout)
        self._former = former
        self._base = None if self._reason else former
        """The state after the last export, to which this export adds."""
        self._number = former.export_number + 1 if former else 1

    def run(self) -> ExportResult:
        staging = self._directory / STAGING
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir()
        since = self._base.oldest_open if self._base else None
        rows = {
            table.name: self._write(
                staging, layout_of(table), changed_rows(self._session, table, self._position, since)
            )
            for table in EXPORT_TABLES
        }
        if any(rows.values()) or self._has_no_gaps_of_today():
            rows[GAPS] = self._write(staging, GAPS_LAYOUT, open_gaps(self._session, self._now))
        self._commit(staging, rows)
        return ExportResult(self._number, self._reason, rows)

    def _has_no_gaps_of_today(self) -> bool:
        """Return whether the exported gaps are from an earlier day. Ages and waivers have then changed."""
        return self._base is None or self._base.exported_at.date() < self._now.astimezone(UTC).date()

    def _write(self, staging: Path, layout: TableLayout, rows: Iterable[object]) -> int:
        path, columns = staging / layout.name, layout.with_number(self._number)
        if self._format == "jsonl":
            return write_json_lines(path, columns, rows, layout.json_columns)
        return _parquet_writer()(path, columns, rows)

    def _commit(self, staging: Path, rows: dict[str, int]) -> None:
        """Move the files into their folders, write the state, and remove the files that it no longer names."""
        parts = dict(self._base.parts) if self._base else {}
        for table, count in rows.items():
            layout = _TABLES[table]
            former = () if layout.is_replaced else parts.get(table, ())
            if count or not former:  # an empty table has an empty file, which shows its columns
                path = part_path(self._directory, table, self._number, self._format)
                path.parent.mkdir(exist_ok=True)
                _sync_file(staging / table)
                (staging / table).replace(path)
                parts[table] = (*former, self._number)
        state = ExportState(
            tenant=self._session.tenant_id,
            format=self._format,
            export_number=self._number,
            exported_at=self._now.astimezone(UTC),
            layout=self._layout,
            database=self._position.database,
            oldest_open=self._position.oldest_open,
            parts=parts,
        )
        write_json(self._directory / SCHEMA_FILE, self._schema)
        write_json(self._directory / STATE_FILE, state.model_dump(mode="json"))
        remove_other_parts(self._directory, _TABLES, state)
        shutil.rmtree(staging)


def _reason_for_all(former: ExportState | None, now: Position, layout: str) -> str | None:
    if former is None:
        return "nothing was exported to this directory before"
    if former.layout != layout:
        return "this release exports other columns than the last export"
    if former.database != now.database or former.oldest_open > now.next_transaction:
        return "the database was restored, moved or failed over since the last export"
    return None


def _parquet_writer() -> Writer:
    try:
        from verifywise_mlflow.exports.parquet_table import write_parquet  # an extra, which JSON Lines do not need
    except ModuleNotFoundError as error:
        raise ExportDirectoryError(f"{explain_missing(error, 'Parquet')}, or export with --format jsonl") from error
    return write_parquet


def _sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
