"""The tenants whose proofs are verified, for the files of a group in ``scheduling.GROUPS``. No test changes them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres

if TYPE_CHECKING:
    from verifywise_mlflow_tests.audit.proofs.proof_documents import Proofs
    from verifywise_mlflow_tests.audit.proofs.proved_tenants import ProvedTenants


@pytest.fixture(scope="session")
def proved(
    postgres: EmbeddedPostgres, mlflow_uri: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ProvedTenants]:
    """The tenants ``acme`` and ``globex``."""
    from verifywise_mlflow_tests.audit.proofs.proved_tenants import (
        proved_tenants,  # MLflow: 2 s, not for the other files
    )

    with proved_tenants(postgres, mlflow_uri, tmp_path_factory.mktemp("proofs")) as tenants:
        yield tenants


@pytest.fixture(scope="session")
def proofs(proved: ProvedTenants) -> Proofs:
    """The proofs of these tenants. A test changes a copy."""
    from verifywise_mlflow_tests.audit.proofs.proof_documents import proof_documents

    return proof_documents(proved)
