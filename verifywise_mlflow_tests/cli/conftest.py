"""The tenant that commands of the read side are tried on. They only read, so one seeding serves all of their tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres
from verifywise_mlflow_tests.support.credit_tenant import CreditTenant, credit_tenant


@pytest.fixture(scope="session")
def acme(postgres: EmbeddedPostgres) -> Iterator[CreditTenant]:
    with credit_tenant(postgres) as tenant:
        yield tenant
