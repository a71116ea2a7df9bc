"""Dagster's instance for production, as dagster_yaml makes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import dagster as dg
import pytest

from verifywise_mlflow.dagster_yaml import as_text, dagster_yaml


@contextmanager
def production_instance(
    home: Path, environment: Mapping[str, str], *, in_sqlite: bool = False
) -> Iterator[dg.DagsterInstance]:
    """Open the instance that the variables describe; in SQLite, which is quicker, where storage is not the point."""
    described = dagster_yaml(environment)
    if in_sqlite:
        del described["storage"]
    home.mkdir(exist_ok=True)
    (home / "dagster.yaml").write_text(as_text(described))
    with dg.DagsterInstance.from_config(str(home)) as instance:
        yield instance


def name_postgres(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the variables that tell Dagster where its database is."""
    url = urlsplit(database_url)
    for name, value in (
        ("HOST", url.hostname),
        ("PORT", url.port),
        ("USERNAME", url.username),
        ("PASSWORD", url.password),
        ("DB", url.path.removeprefix("/")),
    ):
        monkeypatch.setenv(f"DAGSTER_PG_{name}", str(value))
