"""A tenant that delivers to a contract server of each dialect; and to a real server, if the environment names one.

``VERIFYWISE_TEST_URL`` with ``VERIFYWISE_TEST_EMAIL`` and ``VERIFYWISE_TEST_PASSWORD`` names a real server and a user
there. Use a server that is made for tests: entries, risks, files and evidence stay there.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from verifywise_mlflow.delivery.verifywise.rest_client import VerifyWiseClient
from verifywise_mlflow.demo.servers.verifywise_server.dialect import Dialect
from verifywise_mlflow.demo.servers.verifywise_server.server import VerifyWiseServer
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.delivery.verifywise.deliveries.delivering import (
    EVERY_SERVER,
    MODEL,
    REAL,
    REAL_URL,
    Delivering,
    closing_client,
    delivering_tenant,
)
from verifywise_mlflow_tests.support.verifywise_api import ADMIN, EDITOR, PASSWORD

REAL_EMAIL, REAL_PASSWORD = os.environ.get("VERIFYWISE_TEST_EMAIL"), os.environ.get("VERIFYWISE_TEST_PASSWORD")


@pytest.fixture(params=EVERY_SERVER)
def delivering(
    request: pytest.FixtureRequest, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Delivering]:
    """The tenant acme, which delivers as an Editor. A test runs once for each dialect."""
    if request.param == REAL:
        if not (REAL_URL and REAL_EMAIL and REAL_PASSWORD):
            pytest.fail("set VERIFYWISE_TEST_EMAIL and VERIFYWISE_TEST_PASSWORD, too")
        monkeypatch.setenv("VERIFYWISE_TEST_PASSWORD", REAL_PASSWORD)
        run = secrets.token_hex(4)  # what earlier tests left there belongs to other models
        tenant = delivering_tenant(tmp_path, REAL_URL, REAL_EMAIL)
        tenant = tenant.model_copy(update={"tracking_uri": f"https://mlflow.acme.example/{run}"})
        yield from _delivering(store, tenant, f"fraud-{run}")
        return
    server: VerifyWiseServer = request.getfixturevalue("verifywise_servers")[request.param]
    server.clear()
    monkeypatch.setenv("VERIFYWISE_TEST_PASSWORD", PASSWORD)
    yield from _delivering(store, delivering_tenant(tmp_path, server.uri, EDITOR))


@pytest.fixture
def admin_delivering(
    verifywise_servers: Mapping[Dialect, VerifyWiseServer],
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Delivering]:
    """The tenant acme, which delivers as an Admin to dialect B."""
    server = verifywise_servers[Dialect.B]
    server.clear()
    monkeypatch.setenv("VERIFYWISE_TEST_PASSWORD", PASSWORD)
    yield from _delivering(store, delivering_tenant(tmp_path, server.uri, ADMIN))


@pytest.fixture
def b_server(verifywise_servers: Mapping[Dialect, VerifyWiseServer]) -> VerifyWiseServer:
    """The contract server that ``admin_delivering`` delivers to."""
    return verifywise_servers[Dialect.B]


@pytest.fixture
def server(verifywise_servers: Mapping[Dialect, VerifyWiseServer], delivering: Delivering) -> VerifyWiseServer:
    """The contract server that ``delivering`` delivers to."""
    settings = delivering.tenant.delivery.verifywise
    assert settings is not None
    return next(server for server in verifywise_servers.values() if server.uri == settings.url)


def _delivering(store: Store, tenant: Tenant, model: str = MODEL) -> Iterator[Delivering]:
    settings = tenant.delivery.verifywise
    assert settings is not None
    with closing_client(VerifyWiseClient(settings)) as client:
        yield Delivering(store, tenant, client, model)
