"""Fixtures with an export and with the evidence, for the files of a group in ``scheduling.GROUPS``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres
from verifywise_mlflow_tests.audit.exported_file import Export
from verifywise_mlflow_tests.support.databases import migrated_database

if TYPE_CHECKING:
    from verifywise_mlflow_tests.audit.manipulations.evidence import Evidence


@pytest.fixture(scope="session")
def _evidence(
    postgres: EmbeddedPostgres,
    mlflow_uri: str,
    mlflow_database: Path,
    tmp_path_factory: pytest.TempPathFactory,
    _shared_sandboxes: None,
) -> Iterator[Evidence]:
    from verifywise_mlflow_tests.audit.manipulations.evidence import prepared_evidence  # MLflow: 2 s

    artifacts, folder = mlflow_database.parent / "artifacts", tmp_path_factory.mktemp("evidence")
    with migrated_database(postgres) as url, prepared_evidence(url, mlflow_uri, artifacts, folder) as evidence:
        yield evidence


@pytest.fixture
def examined(_evidence: Evidence, monkeypatch: pytest.MonkeyPatch) -> Evidence:
    """The evidence, and the environment of an operator's commands. Each test undoes its changes."""
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", _evidence.database_url)
    monkeypatch.setenv("VERIFYWISE_TENANTS", str(_evidence.folder / "tenants.yaml"))
    return _evidence


@pytest.fixture
def export(tmp_path: Path) -> Export:
    return Export(tmp_path)
