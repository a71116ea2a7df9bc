"""A sync sends requests concurrently: a server that responds only after it has seen the other request shows this."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.http.errors import UnauthenticatedError
from verifywise_mlflow.http.settings import Limits
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.sync import Sync
from verifywise_mlflow.tenants.tenant import Artifacts, Tenant
from verifywise_mlflow_tests.support.hostile_server import (
    HostileServer,
    ReceivedRequest,
    hostile_server,
    json_response,
    make_response,
)
from verifywise_mlflow_tests.support.syncing import rows

WAIT_SECONDS = 5.0


@dataclass
class RegistryServer:
    """One model with a version, whose description says how often the versions were listed before."""

    version_response: bytes = field(default_factory=lambda: make_response("3.17.2", content_type="text/plain"))
    are_versions_refused: bool = False
    is_empty: bool = False
    version_searches: int = 0
    requested_before: list[bool] = field(default_factory=list)
    """For each search for models, whether the versions were requested before it was answered."""
    version_waits: list[bool] = field(default_factory=list)
    """For each request of the server's version, whether models were requested before it was answered."""
    _are_models_requested: threading.Event = field(default_factory=threading.Event)
    _are_versions_requested: threading.Event = field(default_factory=threading.Event)

    def respond(self, _: HostileServer, request: ReceivedRequest) -> bytes:
        """Answer a request."""
        path = request.target.partition("?")[0]
        if "is_prompt" in request.target:
            return json_response({})
        if path.endswith("mlflow/server-info"):
            return json_response({"store_type": "SqlStore"})
        if path == "/version":
            self.version_waits.append(self._are_models_requested.wait(WAIT_SECONDS))
            return self.version_response
        if path.endswith("registered-models/search"):
            self._are_models_requested.set()
            self.requested_before.append(self._are_versions_requested.wait(WAIT_SECONDS))
            time.sleep(0.1)  # so that the versions are listed first
            return json_response({} if self.is_empty else {"registered_models": [{"name": "churn"}]})
        if path.endswith("model-versions/search"):
            self._are_versions_requested.set()
            if self.are_versions_refused:
                return json_response({"error_code": "UNAUTHENTICATED", "message": "no"}, 401)
            self.version_searches += 1
            if self.is_empty:
                return json_response({})
            description = f"listed {self.version_searches} times"
            return json_response({"model_versions": [{"name": "churn", "version": "1", "description": description}]})
        return json_response({"error_code": "ENDPOINT_NOT_FOUND"}, 404)


@contextmanager
def tenant_of(server: RegistryServer) -> Iterator[Tenant]:
    with hostile_server(server.respond) as running:
        yield Tenant(
            tenant_id="acme",
            tracking_uri=running.uri,
            allow_private_network=True,
            artifacts=Artifacts(manifests=False),
            limits=Limits(max_attempts=1),
        )


def test_versions_are_requested_while_models_are_listed(store: Store) -> None:
    server = RegistryServer()
    with tenant_of(server) as tenant, Sync(tenant, store) as sync:
        sync.run_all()

    assert server.requested_before == [True]
    assert server.version_searches == 1
    assert [row["description"] for row in rows(store, "model_versions")] == ["listed 1 times"]


def test_a_sync_of_one_stage_requests_no_versions(store: Store) -> None:
    server = RegistryServer()
    server._are_versions_requested.set()  # nothing to wait for
    with tenant_of(server) as tenant, Sync(tenant, store, stages=(Stage.REGISTERED_MODELS,)) as sync:
        sync.run(Stage.REGISTERED_MODELS)

    assert server.version_searches == 0


def test_versions_are_listed_again_if_another_sync_has_stored_newer_ones(store: Store) -> None:
    server = RegistryServer()
    with tenant_of(server) as tenant, Sync(tenant, store, stages=tuple(Stage)) as slow:
        slow.run(Stage.REGISTERED_MODELS)  # has requested the first listing
        with Sync(tenant, store) as fast:
            fast.run_all()
        slow.run(Stage.MODEL_VERSIONS)

    assert [row["description"] for row in rows(store, "model_versions")] == ["listed 3 times"]


def test_an_error_of_the_early_request_fails_the_stage_of_versions_and_a_retry_requests_again(store: Store) -> None:
    server = RegistryServer(are_versions_refused=True)
    with tenant_of(server) as tenant, Sync(tenant, store, stages=tuple(Stage)) as sync:
        sync.run(Stage.REGISTERED_MODELS)
        with pytest.raises(UnauthenticatedError):
            sync.run(Stage.MODEL_VERSIONS)
        server.are_versions_refused = False
        sync.run(Stage.MODEL_VERSIONS)

    assert [row["description"] for row in rows(store, "model_versions")] == ["listed 1 times"]


@pytest.mark.parametrize(
    ("response", "version"),
    [
        (make_response("3.17.2", content_type="text/plain"), "3.17.2"),
        (json_response({"error_code": "PERMISSION_DENIED"}, 403), None),
        (json_response({"error_code": "INTERNAL_ERROR"}, 500), None),
    ],
)
def test_nothing_waits_for_the_servers_version(store: Store, response: bytes, version: str | None) -> None:
    server = RegistryServer(version_response=response)
    with tenant_of(server) as tenant, Sync(tenant, store) as sync:
        sync.run_all()
        assert sync.reader().server.version == version

    assert server.version_waits[0]


def test_an_empty_registry_is_listed_once(store: Store) -> None:
    server = RegistryServer(is_empty=True)
    with tenant_of(server) as tenant, Sync(tenant, store) as sync:
        sync.run_all()

    assert len(server.requested_before) == 1
    assert server.version_searches == 1
