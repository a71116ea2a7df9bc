"""The task of a competitor, and its report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal

REPOSITORY = Path(__file__).parents[1]

USER = "admin"
PASSWORD_VARIABLE = "MLFLOW_TRACKING_PASSWORD"  # noqa: S105  # a variable's name
"""MLflow's own client reads the password from this variable, so our reader also does."""

METRICS, PARAMS, TAGS = 20, 15, 15
"""Values per run."""

CHANGES = 20
"""The number of versions whose tag changes before the sync that must find these changes."""


class Contender(StrEnum):
    """The competitors. Each runs in a process of its own."""

    MLFLOW_CLIENT = "MLflow's client"
    BARE_REST = "bare REST loop"
    READER = "MlflowReader"
    FIRST_SYNC = "first sync"
    UNCHANGED_SYNC = "unchanged sync"
    CHANGED_SYNC = "sync after 20 changes"
    POLL = "idle poll"
    MLFLOW_RUNS = "MLflow's client: runs"
    READER_RUNS = "MlflowReader: runs"
    PLAIN_FILES = "eight plain connections"
    OUR_FILES = "the stage artifact_manifests"


FileApi = Literal["mlflow", "s3", "gcs", "azure"]


@dataclass(frozen=True, slots=True)
class FileTask:
    """Which files to read, and where."""

    api: FileApi
    url: str
    """The server or the bucket, for plain connections."""
    query: str
    """The part of each plain request's URL that authenticates it; empty if the request needs no authentication."""
    folders: tuple[str, ...]
    """The folders, from the server's or the bucket's root. Plain connections know nothing else about the files."""
    stores: tuple[Mapping[str, object], ...] = ()
    """The stores of the tenant, as in ``tenants.yaml``."""
    connections: int = 8
    """The number of plain connections."""
    limits_file: str = ""
    """The file to which our side writes its limit on concurrent requests over time; empty for no file."""


@dataclass(frozen=True, slots=True)
class Task:
    """What to read, and where to store it."""

    uri: str
    """The tracking server, or the proxy in front of it."""
    with_password: bool = False
    """Whether the server requires the password in ``PASSWORD_VARIABLE``."""
    database_url: str = ""
    """The database of a sync. It contains a password, so it must not be a command-line argument."""
    pages: int = 0
    """How often to request a page of runs."""
    files: FileTask | None = None

    def to_json(self) -> str:
        """Return the task as one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> Task:
        """Parse a line from ``to_json``."""
        content = json.loads(line)
        return cls(**content | {"files": FileTask(**content["files"]) if content["files"] else None})


@dataclass(slots=True)
class ReadCounts:
    """The objects that a competitor read. The counts detect a competitor that is fast because it reads less."""

    models: int = 0
    versions: int = 0
    runs: int = 0
    experiments: int = 0
    logged_models: int = 0
    values: int = 0
    """The number of metrics, parameters and tags of the runs."""
    records: int = 0
    """The number of canonical records that a sync wrote."""
    files: int = 0
    file_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Ready:
    """Sent when imports and preparation are complete. The measurement starts then."""

    import_seconds: float
    imported_bytes: int
    """Peak memory up to this point."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Sent at the end."""

    seconds: float
    cpu_seconds: float
    """CPU time of this process and of its children, user and system."""
    peak_bytes: int
    """Peak memory."""
    counts: ReadCounts
    process_cpu_seconds: float
    """CPU time since the start of the process, imports included."""
