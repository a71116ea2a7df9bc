"""What the tests of access share: building it takes longer than asking it."""

from collections.abc import Iterator

import pytest

from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres
from verifywise_mlflow_tests.persistence.tenant_isolation_fixture import House, open_house


@pytest.fixture(scope="module")
def house(postgres: EmbeddedPostgres) -> Iterator[House]:
    with open_house(postgres) as built:
        yield built
