"""Names of sessions in our database (``application_name``), by which the sessions of a lost run are found and ended."""

from __future__ import annotations

from typing import Final

_PRODUCT: Final = "verifywise-mlflow"
_name = _PRODUCT


def name_sessions(run_id: str) -> None:
    """Give the name of a run to the sessions that this process opens from now on."""
    global _name  # a worker's process executes one run
    _name = name_of_run(run_id)


def session_name() -> str:
    """Return the name for a new session."""
    return _name


def name_of_run(run_id: str) -> str:
    """Return the name of the sessions of a run. Postgres cuts names after 63 bytes."""
    return f"{_PRODUCT} run {run_id}"
