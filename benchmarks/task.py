"""The task of a competitor, and its report."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum

USER = "admin"
PASSWORD_VARIABLE = "MLFLOW_TRACKING_PASSWORD"  # noqa: S105  # a variable's name
"""MLflow's own client reads the password from this variable, so ours does, too."""

METRICS, PARAMS, TAGS = 20, 15, 15
"""Values per run."""

CHANGES = 20
"""Versions whose tag changes before the sync that must find them."""


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

    def to_json(self) -> str:
        """Return the task as one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> Task:
        """Parse a line from ``written``."""
        return cls(**json.loads(line))


@dataclass(slots=True)
class ReadCounts:
    """The objects that a competitor read, to detect one that is fast because it reads less."""

    models: int = 0
    versions: int = 0
    runs: int = 0
    experiments: int = 0
    logged_models: int = 0
    values: int = 0
    """Number of metrics, parameters and tags of the runs."""
    records: int = 0
    """Canonical records that a sync wrote."""


@dataclass(frozen=True, slots=True)
class Ready:
    """Sent when imports and preparation are done: the measurement starts here."""

    import_seconds: float
    imported_bytes: int
    """Peak memory up to this point."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Sent at the end."""

    seconds: float
    cpu_seconds: float
    """CPU time of this process, user and system."""
    peak_bytes: int
    """Peak memory."""
    counts: ReadCounts
