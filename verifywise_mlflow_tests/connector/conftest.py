from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from verifywise_mlflow.connector.mlflow_reader import MlflowReader
from verifywise_mlflow.tenants.connection import connection_settings
from verifywise_mlflow.tenants.tenant import Tenant


@pytest.fixture
def reader(tenant: Tenant) -> Iterator[MlflowReader]:
    with closing(MlflowReader(connection_settings(tenant))) as reader:
        yield reader
