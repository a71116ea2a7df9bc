"""One store with two versions, for all tests of packs. No test changes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow_tests.documents.pack.packed_versions import FRAUD, PackedTenant, packed, seed, signing
from verifywise_mlflow_tests.documents.pack.unpacked import unpack
from verifywise_mlflow_tests.support.databases import migrated_database


@pytest.fixture(scope="session")
def packed_tenant(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PackedTenant]:
    """The tenant acme with both versions."""
    with (
        signing(tmp_path_factory.mktemp("key")) as public_key,
        migrated_database(postgres) as url,
        Store(url) as store,
    ):
        seed(store)
        yield PackedTenant(store, url, public_key)


@pytest.fixture(scope="session")
def fraud_files(packed_tenant: PackedTenant) -> Mapping[str, bytes]:
    """The files of the pack of the hostile version."""
    return packed(packed_tenant.store, FRAUD)


@pytest.fixture
def folder(fraud_files: Mapping[str, bytes], tmp_path: Path) -> Path:
    """That pack, unpacked. A test may change it."""
    return unpack(fraud_files, tmp_path / "pack")
