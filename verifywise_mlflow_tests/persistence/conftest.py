"""The database that the tests of access share, since building it takes longer than querying it."""

from collections.abc import Iterator

import pytest

from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres
from verifywise_mlflow_tests.persistence.tenant_isolation_fixture import IsolatedTenants, isolated_tenants


@pytest.fixture(scope="module")
def isolated(postgres: EmbeddedPostgres) -> Iterator[IsolatedTenants]:
    with isolated_tenants(postgres) as tenants:
        yield tenants
