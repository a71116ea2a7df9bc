"""One server of each version a session, and an empty registry a test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from mlflow import MlflowClient

from verifywise_mlflow.connector.mlflow_reader import MlflowReader
from verifywise_mlflow.tenants.connection import connection_settings
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.compat.environments import EVERY
from verifywise_mlflow_tests.compat.registry import SharedRegistry
from verifywise_mlflow_tests.compat.server import CompatServer, started


@pytest.fixture(scope="session", params=EVERY)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CompatServer]:
    """A server of one of the versions, which the tests of that version share."""
    with started(request.param, tmp_path_factory.mktemp("mlflow")) as server:
        yield server


@pytest.fixture
def registry(server: CompatServer, tmp_path: Path) -> Iterator[SharedRegistry]:
    """The server's registry, empty, to be filled through MLflow's own client of today."""
    yield SharedRegistry(MlflowClient(server.uri), tmp_path)
    server.empty_registry()


@pytest.fixture
def tenant(server: CompatServer) -> Tenant:
    """A tenant whose registry is the server's."""
    return server.tenant


@pytest.fixture
def reader(tenant: Tenant) -> Iterator[MlflowReader]:
    """A connection to the server."""
    with closing(MlflowReader(connection_settings(tenant))) as reader:
        yield reader
