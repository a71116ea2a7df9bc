"""A contract server of each dialect, shared by the tests of the target VerifyWise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from verifywise_mlflow.demo.servers.verifywise_server.dialect import Dialect
from verifywise_mlflow.demo.servers.verifywise_server.server import VerifyWiseServer
from verifywise_mlflow_tests.support.verifywise_api import ADMIN, EDITOR, PASSWORD


@pytest.fixture(scope="session")
def verifywise_servers() -> Iterator[Mapping[Dialect, VerifyWiseServer]]:
    """A contract server of each dialect, with an Editor and an Admin."""
    with (
        VerifyWiseServer(Dialect.A1) as a1,
        VerifyWiseServer(Dialect.A2) as a2,
        VerifyWiseServer(Dialect.B) as b,
    ):
        for server in (a1, a2, b):
            server.add_user(EDITOR, PASSWORD)
            server.add_user(ADMIN, PASSWORD, role="Admin")
        yield {server.dialect: server for server in (a1, a2, b)}


@pytest.fixture
def verifywise(
    verifywise_servers: Mapping[Dialect, VerifyWiseServer], request: pytest.FixtureRequest
) -> VerifyWiseServer:
    """An empty contract server, of dialect B unless ``indirect`` parametrization names another dialect."""
    server = verifywise_servers[getattr(request, "param", Dialect.B)]
    server.clear()
    return server
