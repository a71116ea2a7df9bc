"""The state of an export directory: its part files, and the position up to which everything was exported."""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, ValidationError

FileFormat: TypeAlias = Literal["parquet", "jsonl"]

STATE_FILE: Final = "state.json"
SCHEMA_FILE: Final = "schema.json"
STAGING: Final = ".staging"
"""The folder in which an export writes its files until they are complete."""
_LOCK_FILE: Final = ".lock"
_PART: Final = re.compile(r"part-(\d{6,})\.(?:parquet|jsonl)")


class ExportDirectoryError(Exception):
    """A directory cannot take the export. The message states what to do."""


class ExportState(BaseModel):
    """The state of a directory after an export."""

    model_config = ConfigDict(frozen=True)

    version: Literal[1] = 1
    tenant: str
    format: FileFormat
    export_number: int
    exported_at: datetime
    layout: str
    """SHA-256 of ``schema.json``. If it changes, everything is exported again, so that new columns have values."""
    database: str
    oldest_open: int
    """The position in the sequence of the database's transactions up to which everything was exported."""
    parts: Mapping[str, tuple[int, ...]]
    """The numbers of the part files of each table."""


def part_path(directory: Path, table: str, number: int, file_format: FileFormat) -> Path:
    """Return the path of a part file."""
    return directory / table / f"part-{number:06d}.{file_format}"


def read_state(directory: Path) -> ExportState | None:
    """Return the state of a directory; None if nothing was exported to it yet.

    Raises:
        ExportDirectoryError: the file is damaged or was written by a later release.
    """
    path = directory / STATE_FILE
    try:
        return ExportState.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise ExportDirectoryError(
            f"{path} is not the state of an export that this release understands: export to an empty directory"
        ) from error


def write_json(path: Path, document: object) -> None:
    """Replace a file by a JSON document, so that a reader sees either the former document or the new one."""
    part = path.with_name(f".{path.name}.part")
    with part.open("w", encoding="utf-8") as file:
        json.dump(document, file, indent=1)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def remove_other_parts(directory: Path, tables: Mapping[str, object], state: ExportState | None) -> None:
    """Remove the part files that the state does not name: files of an interrupted export, and replaced files."""
    for table in tables:
        kept = set(state.parts.get(table, ())) if state else set()
        for path in (directory / table).glob("part-*"):
            match = _PART.fullmatch(path.name)
            if match and int(match[1]) not in kept:
                path.unlink()


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Create a directory, and refuse a second export to it while the block runs.

    Raises:
        ExportDirectoryError: another export is running.
        OSError: the directory cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / _LOCK_FILE).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ExportDirectoryError(f"another export to {directory} is running: wait for it, or end it") from None
        yield
