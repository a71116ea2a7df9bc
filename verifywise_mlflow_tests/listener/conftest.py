from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres
from verifywise_mlflow.listener import application, receiver, server
from verifywise_mlflow.listener.hint_writer import WAIT_S
from verifywise_mlflow.persistence import role_grants
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow_tests.listener.signed_deliveries import TENANTS, Installation
from verifywise_mlflow_tests.support.databases import migrated_database
from verifywise_mlflow_tests.support.login_roles import login_role, new_name
from verifywise_mlflow_tests.support.running_listener import (
    new_secrets,
    running_listener,
    write_tenants,
)
from verifywise_mlflow_tests.support.trail_entries import NOW


@pytest.fixture(scope="module")
def installation(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    tenants = {name: new_secrets() for name in TENANTS} | {"rotating": new_secrets(2)}
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        limits = {"limited": {"events_per_minute": 20}, "busy": {"events_per_minute": 1_000}}
        write_tenants(tmp_path_factory.mktemp("listener") / "tenants.yaml", tenants, patch, limits)
        patch.setattr(receiver, "BODY_TIMEOUT_S", 1)
        patch.setattr(server, "CONNECTION_S", 2)
        patch.setattr(application, "_READINESS_LIFETIME_S", 0)
        owner_url = stack.enter_context(migrated_database(postgres))
        role = stack.enter_context(login_role(owner_url, new_name("listener")))
        owner = stack.enter_context(Store(owner_url))
        with owner.begin_shared() as connection:
            role_grants.grant(connection, role.name, "listener", None, NOW)
        restricted = stack.enter_context(Store(role.url, statement_seconds=WAIT_S))
        running = stack.enter_context(running_listener(restricted))
        yield Installation(running, tenants, owner, owner_url, role.name)
