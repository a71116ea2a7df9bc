"""What a contender is told before it starts, and what it says when it is through."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum

USER = "admin"
PASSWORD_VARIABLE = "MLFLOW_TRACKING_PASSWORD"  # noqa: S105  # a variable's name
"""MLflow's own client takes the password from here, so ours does, too."""

METRICS, PARAMS, TAGS = 20, 15, 15
"""Of each run."""

CHANGES = 20
"""Versions whose tag is changed before the sync that finds them."""


class Contender(StrEnum):
    """Who reads. Each runs in a process of its own."""

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
    """What to read, and into what."""

    uri: str
    """The tracking server, or the proxy before it."""
    with_password: bool = False
    """Whether the server asks for the password in ``PASSWORD_VARIABLE``."""
    database_url: str = ""
    """Where a sync writes to. It holds a password, so it must not be an argument."""
    pages: int = 0
    """How often to ask for a page of runs."""

    def written(self) -> str:
        """Return it as a line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, line: str) -> Task:
        """Return what ``written`` wrote."""
        return cls(**json.loads(line))


@dataclass(slots=True)
class Found:
    """What a contender has read, so that nobody is quick by reading less."""

    models: int = 0
    versions: int = 0
    runs: int = 0
    experiments: int = 0
    logged_models: int = 0
    values: int = 0
    """Metrics, parameters and tags of the runs."""
    records: int = 0
    """Canonical records that a sync wrote."""


@dataclass(frozen=True, slots=True)
class Ready:
    """Said when all is imported and prepared: from here on it counts."""

    import_seconds: float
    imported_bytes: int
    """The most memory that was in use up to here."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Said at the end."""

    seconds: float
    cpu_seconds: float
    """Of this process, in user and in system mode."""
    peak_bytes: int
    """The most memory that was in use at a time."""
    found: Found
