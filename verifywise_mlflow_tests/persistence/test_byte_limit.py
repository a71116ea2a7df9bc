"""A page of rows is limited in bytes, in the database."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import select

from verifywise_mlflow.connector.models import ModelVersion
from verifywise_mlflow.persistence.byte_limit import limit_bytes
from verifywise_mlflow.persistence.repositories import registry
from verifywise_mlflow.persistence.repositories.registry import ListedObject, ListedVersion
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.persistence.tables import model_versions


@pytest.mark.parametrize(("max_bytes", "expected"), [(1, 1), (50_000, 1), (150_000, 2), (250_000, 3), (10**9, 10)])
def test_a_page_ends_at_the_row_that_reaches_the_limit(max_bytes: int, expected: int, store: Store) -> None:
    # A repeated letter, which Postgres compresses to a hundredth: the limit counts the bytes that are read.
    versions = [ModelVersion("churn", number, tags={"note": "d" * 100_000}) for number in range(1, 11)]
    listed = [ListedObject(ListedVersion(version, []), "f") for version in versions]
    query = (
        select(model_versions)
        .where(model_versions.c.tenant_id == "acme")
        .order_by(model_versions.c.model_name, model_versions.c.version_number)
        .limit(500)
    )

    with store.begin("acme") as session:
        registry.write_versions(session, listed, datetime(2026, 3, 1, tzinfo=UTC), copy_origins={})
        page = session.execute(limit_bytes(query, max_bytes=max_bytes)).mappings().all()

    assert [row["version_number"] for row in page] == list(range(1, expected + 1))
    assert page[0]["tags"] == {"note": "d" * 100_000}
