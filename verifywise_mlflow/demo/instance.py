"""Dagster's instance for the demo: the one for production, on the embedded Postgres, for two cores and no backlog."""

from __future__ import annotations

from pathlib import Path

from verifywise_mlflow.dagster_yaml import as_text, dagster_yaml

_SETTINGS = {"VERIFYWISE_SYNCS_AT_ONCE": "2", "VERIFYWISE_BACKFILL_SYNCS_AT_ONCE": "1"}


def write_instance(home: Path) -> None:
    """Write dagster.yaml into the directory for DAGSTER_HOME."""
    (home / "dagster.yaml").write_text(as_text(dagster_yaml(_SETTINGS)))
