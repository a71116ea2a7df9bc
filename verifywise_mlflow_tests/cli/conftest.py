"""A tenant for the tests of commands that read the database. These tests only read, so they share one seeding."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres
from verifywise_mlflow_tests.support.credit_tenant import CreditTenant, credit_tenant


@pytest.fixture(scope="session")
def acme(postgres: EmbeddedPostgres) -> Iterator[CreditTenant]:
    with credit_tenant(postgres) as tenant:
        yield tenant
