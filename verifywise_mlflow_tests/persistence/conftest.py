"""What the tests of access share: building it takes longer than asking it."""

from collections.abc import Iterator

import pytest

from verifywise_mlflow.demo.postgres import EmbeddedPostgres
from verifywise_mlflow_tests.persistence.house import House, open_house


@pytest.fixture(scope="module")
def house(postgres: EmbeddedPostgres) -> Iterator[House]:
    with open_house(postgres) as built:
        yield built
