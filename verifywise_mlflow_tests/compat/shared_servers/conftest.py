"""One server of each version per session, and an empty registry for each test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from mlflow import MlflowClient

from verifywise_mlflow.connector.mlflow_reader import MlflowReader
from verifywise_mlflow.tenants.connection import connection_settings
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.compat.environments import ALL_ENVIRONMENTS
from verifywise_mlflow_tests.compat.server import CompatServer, start_server
from verifywise_mlflow_tests.compat.shared_registry import SharedRegistry


@pytest.fixture(scope="session", params=ALL_ENVIRONMENTS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CompatServer]:
    """A server of one version, which all tests of that version share."""
    with start_server(request.param, tmp_path_factory.mktemp("mlflow")) as server:
        yield server


@pytest.fixture
def registry(server: CompatServer, tmp_path: Path) -> Iterator[SharedRegistry]:
    """The server's empty registry, to be filled with the current MLflow client."""
    yield SharedRegistry(MlflowClient(server.uri), tmp_path)
    server.empty_registry()


@pytest.fixture
def tenant(server: CompatServer) -> Tenant:
    """A tenant that reads the server."""
    return server.tenant


@pytest.fixture
def reader(tenant: Tenant) -> Iterator[MlflowReader]:
    """A connection to the server."""
    with closing(MlflowReader(connection_settings(tenant))) as reader:
        yield reader
