"""Dagster's instance for production, as ``dagster_yaml`` generates it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import dagster as dg
import pytest

from verifywise_mlflow.dagster_yaml import instance_config, to_yaml


@contextmanager
def production_instance(
    home: Path, environment: Mapping[str, str], *, in_sqlite: bool = False
) -> Iterator[dg.DagsterInstance]:
    """Open the instance that the variables configure; with SQLite, which is faster, if a test needs no Postgres."""
    config = instance_config(environment)
    if in_sqlite:
        del config["storage"]
    home.mkdir(exist_ok=True)
    (home / "dagster.yaml").write_text(to_yaml(config))
    with dg.DagsterInstance.from_config(str(home)) as instance:
        yield instance


def set_dagster_database(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the variables from which Dagster reads its database."""
    url = urlsplit(database_url)
    for name, value in (
        ("HOST", url.hostname),
        ("PORT", url.port),
        ("USERNAME", url.username),
        ("PASSWORD", url.password),
        ("DB", url.path.removeprefix("/")),
    ):
        monkeypatch.setenv(f"DAGSTER_PG_{name}", str(value))
